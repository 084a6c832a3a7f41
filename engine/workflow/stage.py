"""A stage: one unit of work, declared on a plain function.

Owns: `@stage`, its options and what a stage knows of its function. Must not: bind actors or send by
itself; starting goes to the current engine.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, overload

from engine import current
from engine.clock import Duration, duration_ms
from engine.errors import DefinitionInvalid, OptionInvalid, TypesUnresolved, UnknownOption
from engine.workflow import registry
from engine.workflow.bounds import whole_number
from engine.workflow.context import Context
from engine.workflow.flow import Flow, Want
from engine.workflow.idempotency import Idempotency
from engine.workflow.names import DEFAULT_QUEUE, definition_name, priority_level
from engine.workflow.payload import InputCodec, OutputCodec
from engine.workflow.plan import Plan
from engine.workflow.registry import origin_of
from engine.workflow.retry import Retry
from engine.workflow.run import Run
from engine.workflow.shapes import shape_of
from engine.workflow.signature import Signature, read_signature
from engine.workflow.start import (
    Attributes,
    AttributesPerInput,
    PerInput,
    bulk_starts,
    one_start,
)
from engine.workflow.undo import Undoable

P = ParamSpec("P")
R = TypeVar("R")

OPTIONS = ("name", "queue", "retry", "timeout", "priority", "max_stalls", "idempotency")
MAX_STALLS = 100


class Stage(Flow, Generic[P, R]):
    """One unit of work. Called, it is the plain function.

    Attributes:
        name: unique in the process.
        fn: the function.
        queue: where its messages wait.
        retry: when it is tried again; None leaves it to the queue's policy.
        timeout_ms: how long one attempt may run; None leaves it to the queue's policy.
        priority: 0 to 9, higher is sooner; None leaves it to the queue's policy.
        max_stalls: recoveries allowed after its process died; None leaves it to the settings.
        idempotency: how repeated work is recognised.
        is_async: whether the function is a coroutine function.
    """

    kind: ClassVar[str] = "stage"

    def __init__(  # noqa: PLR0913 - one parameter per option
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        priority: int | None = None,
        max_stalls: int | None = None,
        idempotency: Idempotency | None = None,
        local_names: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = definition_name("stage", name or getattr(fn, "__name__", None))
        self.fn = fn
        self._call: Callable[..., Any] = fn
        self.queue = definition_name("queue", queue)
        self.retry = _of_type("retry", retry, Retry, "a Retry(...)")
        self.timeout_ms = _timeout_ms(timeout)
        self.priority = priority_level(priority)
        self.max_stalls = _max_stalls(max_stalls)
        self.idempotency = _of_type("idempotency", idempotency, Idempotency, "an Idempotency(...)")
        self.is_async = inspect.iscoroutinefunction(fn)
        self.origin = origin_of(fn)
        functools.update_wrapper(self, fn, updated=())
        self._signature: Signature | None = None
        self._resolve_early(local_names or {})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function."""
        return self.fn(*args, **kwargs)

    def invoke(self, inputs: list[Any], context: Context | None = None) -> Any:
        """Call the function with decoded inputs and the context in its place.

        `inputs` is what `inputs.decode` returned; it may be changed. An async stage returns its
        coroutine.
        """
        signature = self._signature or self._resolve()
        if signature.context_parameter is None and not signature.keywords:
            return self._call(*inputs)
        first_keyword = len(inputs) - len(signature.keywords)
        named = dict(zip(signature.keywords, inputs[first_keyword:], strict=True))
        positional = inputs[:first_keyword]
        if signature.context_index is not None:
            positional.insert(signature.context_index, context)
        elif signature.context_parameter is not None:
            named[signature.context_parameter] = context
        return self._call(*positional, **named)

    # --- what it declares ---

    @property
    def context_parameter(self) -> str | None:
        """Name of the parameter annotated `Context`, or None."""
        return (self._signature or self._resolve()).context_parameter

    @functools.cached_property
    def inputs(self) -> InputCodec:
        """The codec of the payload."""
        return InputCodec(self.name, (self._signature or self._resolve()).fields)

    @functools.cached_property
    def output(self) -> OutputCodec:
        """The codec of the result."""
        return OutputCodec(self.name, (self._signature or self._resolve()).returns)

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def wants(self) -> list[Want]:
        """Return the type of its payload."""
        return [Want(self.name, (self._signature or self._resolve()).takes())]

    def gives(self) -> Any:
        """Return the type of its result."""
        return (self._signature or self._resolve()).returns

    def entry(self) -> InputCodec:
        """Return the codec of its payload."""
        return self.inputs

    def check(self) -> None:
        """Resolve the annotations; a single stage has no seams."""
        self._resolve()

    @functools.cached_property
    def _plan(self) -> Plan:
        shapes = {self.name: shape_of(self.inputs)}
        return Plan.of_stage(self.name, self.queue, self.priority, shapes)

    def plan(self) -> Plan:
        """Return the plan of the stage alone: [stage, end]."""
        return self._plan

    def plans(self) -> tuple[Plan, ...]:
        """Return its one plan."""
        return (self._plan,)

    def undo(self, other: object) -> Flow:
        """Name the stage that takes back what this one did, should the run fail later.

        Completed stages are undone in reverse order; each undo receives the result of the stage it
        undoes and has retries of its own.

        Raises:
            DefinitionInvalid: `other` is no stage.
            TypesDoNotFit: it does not take what this stage gives.
        """
        return Undoable(self, other)

    def _resolve(self) -> Signature:
        if self._signature is None:
            self._signature = read_signature(self.name, self.fn)
        return self._signature

    def _resolve_early(self, local_names: Mapping[str, Any]) -> None:
        try:
            self._signature = read_signature(self.name, self.fn, local_names)
        except TypesUnresolved:
            return  # a forward reference: known when the module is complete

    # --- sending ---

    def send(
        self,
        *args: Any,
        tenant: str | None = None,
        key: str | None = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: Attributes | None = None,
    ) -> Run:
        """Start a run of this stage alone.

        Args:
            *args: the inputs of the function, without the context.
            tenant: for whom; None is "default".
            key: idempotency key; a repeated one gives the first run.
            delay: how long to wait before the first attempt.
            priority: 0 to 9, higher is sooner; None is the stage's own.
            attributes: up to 16 names with values, to find the run by.

        Raises:
            PayloadInvalid, TenantInvalid, KeyInvalid, InvalidDuration, OptionInvalid,
                AttributeInvalid: nothing sent.
            StoreError: the store refused or did not answer.
        """
        start = one_start(self.inputs.encode(args), tenant, key, delay, priority, attributes)
        return current.get().start(self, start.payload, **start.options())

    async def asend(
        self,
        *args: Any,
        tenant: str | None = None,
        key: str | None = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: Attributes | None = None,
    ) -> Run:
        """Start a run as `send` does, without blocking the event loop."""
        start = one_start(self.inputs.encode(args), tenant, key, delay, priority, attributes)
        return await current.get().astart(self, start.payload, **start.options())

    def send_many(
        self,
        items: Sequence[Any],
        *,
        tenant: PerInput = None,
        keys: PerInput = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: AttributesPerInput | None = None,
    ) -> list[Run]:
        """Start one run per item, in bulk.

        Args:
            items: the input of each run; a sequence of inputs if the stage takes several.
            tenant: one for all, a list with one per item, or a function of the item.
            keys: a list with one per item, or a function of the item.
            delay: for all.
            priority: for all.
            attributes: for all, a list with one per item, or a function of the item.
        """
        starts = bulk_starts(self.inputs, items, tenant, keys, delay, priority, attributes)
        return current.get().start_many(self, starts)


@overload
def stage(fn: Callable[P, R], /) -> Stage[P, R]: ...
@overload
def stage(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    priority: int | None = None,
    max_stalls: int | None = None,
    idempotency: Idempotency | None = None,
) -> Callable[[Callable[P, R]], Stage[P, R]]: ...
def stage(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a stage; with or without arguments.

    Raises:
        UnknownOption: an option is misspelt.
        DuplicateName: another function holds the name.
        NameInvalid, OptionInvalid, InvalidDuration: an option has no usable value.
    """
    for option in options:
        if option not in OPTIONS:
            raise UnknownOption(option, OPTIONS)

    def declare(function: Any) -> Stage[..., Any]:
        if not callable(function) or isinstance(function, Stage | type):
            raise DefinitionInvalid(f"{function!r:.100}", "is not a function", "Give @stage one.")
        # Types defined inside the enclosing function are visible only from its frame.
        local_names = sys._getframe(1 if fn is None else 2).f_locals  # pyright: ignore[reportPrivateUsage]
        made: Stage[..., Any] = Stage(function, local_names=local_names, **options)
        registry.current().add_stage(made)
        current.announce(made)
        return made

    return declare if fn is None else declare(fn)


def _timeout_ms(timeout: Duration | None) -> int | None:
    if timeout is None:
        return None
    timeout_ms = duration_ms(timeout, name="timeout")
    if timeout_ms == 0:
        raise OptionInvalid("timeout", timeout, "a duration above 0, or None for no limit")
    return timeout_ms


def _max_stalls(max_stalls: int | None) -> int | None:
    return None if max_stalls is None else whole_number("max_stalls", max_stalls, 0, MAX_STALLS)


T = TypeVar("T")


def _of_type(option: str, value: T | None, cls: type[T], expected: str) -> T | None:
    if value is not None and not isinstance(value, cls):
        raise OptionInvalid(option, value, expected)
    return value
