"""A pipeline: a named flow that can be started.

Owns: `Pipeline`. Must not: start anything by itself; that goes to the current engine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from engine import current
from engine.clock import Duration, duration_ms
from engine.errors import OptionInvalid
from engine.workflow import registry
from engine.workflow.compiler import compiled
from engine.workflow.drawing import draw
from engine.workflow.flow import Flow, Want, as_flow
from engine.workflow.idempotency import Idempotency
from engine.workflow.names import definition_name
from engine.workflow.payload import InputCodec
from engine.workflow.plan import Plan
from engine.workflow.registry import Origin
from engine.workflow.run import Run
from engine.workflow.start import (
    Attributes,
    AttributesPerInput,
    PerInput,
    bulk_starts,
    one_start,
)


class Pipeline(Flow):
    """A named composition of stages; a definition, not an execution.

    In another pipeline it is a child run: with an id and a history of its own, cancelled with its
    parent, whose next stage receives its result.

    Args:
        name: unique in the process.
        flow: a stage or a composition.
        idempotency: how repeated starts are recognised.
        retention: how long a finished run stays in the store; None leaves it to the settings.

    Raises:
        NameInvalid, DuplicateName, DefinitionInvalid, OptionInvalid, InvalidDuration.
    """

    kind: ClassVar[str] = "pipeline"

    def __init__(
        self,
        name: str,
        flow: object,
        *,
        idempotency: Idempotency | None = None,
        retention: Duration | None = None,
    ) -> None:
        self.name = definition_name("pipeline", name)
        self.flow = as_flow(flow)
        if idempotency is not None and not isinstance(idempotency, Idempotency):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionInvalid("idempotency", idempotency, "an Idempotency(...)")
        self.idempotency = idempotency
        self.retention_ms = None if retention is None else duration_ms(retention, name="retention")
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        self.origin = Origin(caller.f_globals.get("__name__", ""), "", caller.f_code.co_filename)
        registry.current().add_pipeline(self)
        current.announce(self)

    def plan(self) -> Plan:
        """Return the compiled plan, checked on the first call.

        Raises:
            TypesDoNotFit: neighbours' types do not fit (where a forward reference hid it before).
            TypesUnresolved: an annotation still names something that does not exist.
        """
        return self._plan

    def plans(self) -> tuple[Plan, ...]:
        """Return its own plan and those of its child runs, to any depth."""
        return self._plans

    @cached_property
    def _plans(self) -> tuple[Plan, ...]:
        found = {self.plan().hash: self.plan()}
        open_parts: list[Flow] = [self.flow]
        while open_parts:
            part = open_parts.pop()
            if isinstance(part, Pipeline):
                found |= {plan.hash: plan for plan in part.plans()}
            else:
                open_parts += part.inner()
        return tuple(found.values())

    @cached_property
    def _plan(self) -> Plan:
        self.flow.check()
        return compiled(self.name, self.flow)

    @cached_property
    def inputs(self) -> InputCodec:
        """The codec of the pipeline's input."""
        return self.flow.entry()

    # -- as a part of another pipeline

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def wants(self) -> list[Want]:
        """Return what its flow takes."""
        return self.flow.wants()

    def gives(self) -> Any:
        """Return what its flow gives."""
        return self.flow.gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return its flow."""
        return (self.flow,)

    def draw(self, format: str = "mermaid") -> str:  # noqa: A002 - the word of the caller
        """Return the plan as a picture: "mermaid", a flowchart's text, or "svg".

        Raises:
            UnknownFormat: the format is neither of the two.
        """
        return draw(self.plan(), format)

    def start(
        self,
        *args: Any,
        tenant: str | None = None,
        key: str | None = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: Attributes | None = None,
    ) -> Run:
        """Start a run.

        Args:
            *args: the inputs of the first stage.
            tenant: for whom; None is "default".
            key: idempotency key; a repeated one gives the first run.
            delay: how long to wait before the first attempt.
            priority: of the first messages, 0 to 9, higher is sooner; None is the stages' own.
            attributes: up to 16 names with values, to find the run by.

        Raises:
            PayloadInvalid, TenantInvalid, KeyInvalid, InvalidDuration, OptionInvalid,
                AttributeInvalid: nothing sent.
            StoreError: the store refused or did not answer.
        """
        start = one_start(self.inputs.encode(args), tenant, key, delay, priority, attributes)
        return current.get().start(self, start.payload, **start.options())

    async def astart(
        self,
        *args: Any,
        tenant: str | None = None,
        key: str | None = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: Attributes | None = None,
    ) -> Run:
        """Start a run as `start` does, without blocking the event loop."""
        start = one_start(self.inputs.encode(args), tenant, key, delay, priority, attributes)
        return await current.get().astart(self, start.payload, **start.options())

    def start_many(
        self,
        inputs: Sequence[Any],
        *,
        tenant: PerInput = None,
        keys: PerInput = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: AttributesPerInput | None = None,
    ) -> list[Run]:
        """Start one run per input, in bulk; the runs come in the order of the inputs.

        Args:
            inputs: one value per run; a sequence of values if the first stage takes several.
            tenant: one for all, a list with one per input, or a function of the input.
            keys: a list with one per input, or a function of the input.
            delay: for all.
            priority: for all.
            attributes: for all, a list with one per input, or a function of the input.
        """
        starts = bulk_starts(self.inputs, inputs, tenant, keys, delay, priority, attributes)
        return current.get().start_many(self, starts)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}: {self.flow.label}>"
