"""Gathering: one call of a stage for the messages of many runs.

Owns: `batch` and the flow behind it. Must not: gather anything; the execution does.
"""

from __future__ import annotations

from typing import Any, ClassVar, get_args, get_origin

from engine.clock import Duration, duration_ms
from engine.errors import DefinitionInvalid, OptionInvalid
from engine.workflow.bounds import whole_number
from engine.workflow.fitting import described, fits
from engine.workflow.flow import Flow, Want, as_flow
from engine.workflow.payload import UNTYPED, Field, InputCodec

SIZE, WITHIN_MS = 100, 1_000
MAX_SIZE, MAX_WITHIN_MS = 1_000, 60_000


class Batch(Flow):
    """A stage that serves many runs in one call; see `batch`."""

    kind: ClassVar[str] = "batch"

    def __init__(self, stage: Flow, size: int, within_ms: int) -> None:
        self.stage = stage
        self.size = size
        self.within_ms = within_ms

    @property
    def label(self) -> str:
        """`batch(...)` around the stage."""
        return f"batch({self.stage.label})"

    def wants(self) -> list[Want]:
        """Return one item of what the stage takes."""
        return [Want(self.label, element_of(self.stage.wants()[0].type))]

    def gives(self) -> Any:
        """Return one item of what the stage gives."""
        return element_of(self.stage.gives())

    def inner(self) -> tuple[Flow, ...]:
        """Return the stage."""
        return (self.stage,)

    def entry(self) -> InputCodec:
        """Return a codec for one item."""
        return InputCodec(self.label, [Field("item", self.wants()[0].type)])

    def check(self) -> None:
        """Check that the stage takes a list and gives one."""
        super().check()
        for what, type_ in (("takes", self.stage.wants()[0].type), ("gives", self.stage.gives())):
            if type_ not in UNTYPED and not fits(list, get_origin(type_) or type_):
                raise DefinitionInvalid(
                    f"Stage {self.stage.label!r}",
                    f"{what} {described(type_)}, and a batch is a list",
                    "Let it take list[item] and return list[result], in the same order.",
                )


def batch(stage: object, size: int = SIZE, within: Duration = WITHIN_MS) -> Flow:
    """Gather messages of many runs into one call of a stage.

    The stage takes a list of items and returns a list of as many results in the same order. An
    exception in the place of a result is the failure of that item alone; an exception that it
    raises is the failure of every item. Items of different tenants never share a call. What is
    gathered is leased to one worker process, which makes the call as soon as `size` items have
    come, or when the first of them has waited for `within`.

    Args:
        stage: a stage without a Context: one call belongs to many runs.
        size: items that make a full batch, 1 to 1,000.
        within: how long the first item waits for company, up to a minute.

    Raises:
        DefinitionInvalid: the stage asks for a Context, or for something else than a list.
        OptionInvalid, InvalidDuration: the size or the time cannot be used.
    """
    flow = as_flow(stage)
    if flow.kind != "stage":
        raise DefinitionInvalid(f"batch of {flow.label}", "is not of a stage", "Give one stage.")
    if getattr(flow, "context_parameter", None):
        raise DefinitionInvalid(
            f"Stage {flow.label!r}",
            "asks for a Context, and a batch belongs to many runs",
            "Leave the Context out.",
        )
    within_ms = duration_ms(within, name="within")
    if not 0 < within_ms <= MAX_WITHIN_MS:
        raise OptionInvalid("within", within, "more than 0 and at most a minute")
    return Batch(flow, whole_number("size", size, 1, MAX_SIZE), within_ms)


def element_of(array: Any) -> Any:
    """Return the element type of a list type; Any where it does not say."""
    args = get_args(array)
    return args[0] if args else Any
