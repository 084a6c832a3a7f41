"""Time and signals: a run that stands still without a worker.

Owns: `sleep`, `wait_for` and the flows behind them. Must not: keep time; the server does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, get_origin

from engine.clock import Duration, duration_ms
from engine.errors import OptionInvalid
from engine.workflow import registry
from engine.workflow.bound import Written
from engine.workflow.decider import Decider
from engine.workflow.fitting import union_of
from engine.workflow.flow import Flow, Want, as_flow
from engine.workflow.names import definition_name
from engine.workflow.payload import Field, InputCodec
from engine.workflow.settled import Settled

MAX_WAIT_MS = 3_660 * 86_400_000  # ten years


class Sleep(Flow):
    """A pause; see `sleep`."""

    kind: ClassVar[str] = "sleep"
    passes_on = True

    def __init__(self, delay_ms: int, until: Decider | Written | None) -> None:
        self.delay_ms = delay_ms
        self.until = until

    @property
    def label(self) -> str:
        """`sleep(...)` with its length in ms, or the function that knows it."""
        return f"sleep({self.until.name if self.until else f'{self.delay_ms}ms'})"

    def wants(self) -> list[Want]:
        """Return what the function looks at, else anything."""
        return [Want(self.label, Any if self.until is None else self.until.takes())]

    def gives(self) -> Any:
        """Return anything: it gives what it received."""
        return Any

    def entry(self) -> InputCodec:
        """Return a codec for one parameter of any type."""
        return InputCodec(self.label, [Field("value")])


class WaitFor(Flow):
    """A pause until a signal comes; see `wait_for`."""

    kind: ClassVar[str] = "wait"

    def __init__(
        self, name: str, into: Any, timeout_ms: int | None, otherwise: Flow | None
    ) -> None:
        self.name = name
        self.into = into
        self.timeout_ms = timeout_ms
        self.otherwise = otherwise

    @property
    def settles(self) -> bool:
        """Whether a failure that a callback brings goes on as a value."""
        return self.into is Settled or get_origin(self.into) is Settled

    @property
    def label(self) -> str:
        """`wait_for(...)` with the signal's name."""
        return f"wait_for({self.name})"

    def wants(self) -> list[Want]:
        """Return what `otherwise` takes, else anything."""
        return [Want(self.label, Any)] if self.otherwise is None else self.otherwise.wants()

    def gives(self) -> Any:
        """Return the type of the signal, or what `otherwise` gives."""
        if self.otherwise is None:
            return self.into
        return union_of([self.into, self.otherwise.gives()])

    def inner(self) -> tuple[Flow, ...]:
        """Return `otherwise`."""
        return () if self.otherwise is None else (self.otherwise,)

    def entry(self) -> InputCodec:
        """Return the codec of what `otherwise` takes, else of anything."""
        if self.otherwise is not None:
            return self.otherwise.entry()
        return InputCodec(self.label, [Field("value")])


def sleep(how_long: Duration | Callable[..., datetime]) -> Flow:
    """Pause the run and hand on what came in; no worker is held meanwhile.

    Args:
        how_long: a duration such as "3d", or a named pure function from what flows in to the
            moment to go on, a datetime with a time zone.

    Raises:
        InvalidDuration, OptionInvalid: the duration cannot be read or is over ten years.
        NameInvalid: the function has no usable name.
    """
    if callable(how_long):
        until = Decider(how_long)
        registry.current().add_decider(until)
        return Sleep(0, until)
    return Sleep(_bounded_ms("how_long", how_long), None)


def wait_for(
    name: str,
    into: Any = Any,
    *,
    timeout: Duration | None = None,
    otherwise: object | None = None,
) -> Flow:
    """Pause the run until it is sent a signal; what the signal carries flows on.

    A signal that came before the wait counts. Several waits of one name are served in the order in
    which they began. A callback (`ctx.callback(name)` in a stage before it) ends the wait as well;
    one that brings a failure fails the run here, unless `into` is `Settled[...]`: then what it
    brings flows on as that, a failure too.

    Args:
        name: of the signal, as in `run.signal(name, value)`.
        into: the type of what the signal carries; checked against the stage that follows.
        timeout: how long to wait; None waits as long as the run lives.
        otherwise: the flow to take at the timeout, on what flowed in; without it the run fails.

    Raises:
        NameInvalid: the name has characters that a signal cannot have.
        OptionInvalid: `otherwise` without a timeout, or a timeout over ten years.
    """
    if timeout is None and otherwise is not None:
        raise OptionInvalid(
            "otherwise", otherwise, "a timeout beside it: without one it never comes"
        )
    return WaitFor(
        definition_name("signal", name),
        into,
        None if timeout is None else _bounded_ms("timeout", timeout),
        None if otherwise is None else as_flow(otherwise),
    )


def _bounded_ms(option: str, duration: Duration) -> int:
    found_ms = duration_ms(duration, name=option)
    if not 0 < found_ms <= MAX_WAIT_MS:
        raise OptionInvalid(option, duration, "more than 0 and at most ten years")
    return found_ms
