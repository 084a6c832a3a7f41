"""Loop: a flow run again on its own result until a named function is content.

Owns: `repeat` and the flow behind it. Must not: run the function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from engine.clock import Duration, duration_ms
from engine.errors import TypesDoNotFit
from engine.workflow import registry
from engine.workflow.bound import Written
from engine.workflow.bounds import whole_number
from engine.workflow.decider import Decider
from engine.workflow.fitting import described, fits
from engine.workflow.flow import Flow, Want, as_flow, check_seam, when_resolved

MAX_ROUNDS = 100_000


class Repeat(Flow):
    """A loop; see `repeat`."""

    kind: ClassVar[str] = "repeat"

    def __init__(self, body: Flow, until: Decider | Written, limit: int, every_ms: int) -> None:
        self.body = body
        self.until = until
        self.limit = limit
        self.every_ms = every_ms

    @property
    def label(self) -> str:
        """`repeat(...)` around the body."""
        return f"repeat({self.body.label})"

    def wants(self) -> list[Want]:
        """Return what the body takes."""
        return self.body.wants()

    def gives(self) -> Any:
        """Return what the body gives."""
        return self.body.gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return the body."""
        return (self.body,)

    def check(self) -> None:
        """Check the body, that it fits itself, and that the function takes what it gives."""
        super().check()
        check_seam(self.body, self.body)
        gives, takes = self.body.gives(), self.until.takes()
        if not fits(gives, takes):
            raise TypesDoNotFit(
                self.body.label, described(gives), self.until.name, described(takes)
            )


def repeat(
    flow: object,
    *,
    until: Callable[..., bool],
    limit: int = 1_000,
    every: Duration | None = None,
) -> Flow:
    """Run a flow on its own result again and again until a function says that it is enough.

    Args:
        flow: a stage or a composition; it must take what it gives.
        until: a named, pure function from the flow's result to whether to stop. It runs inside the
            attempt of the last stage; should it raise, that attempt has failed.
        limit: rounds after which the run fails as `repeat_exhausted`, 1 to 100,000.
        every: pause between two rounds; no worker is held meanwhile.

    Raises:
        TypesDoNotFit: the flow does not take what it gives, or the function does not.
        NameInvalid: the function has no usable name.
        OptionInvalid, InvalidDuration: the limit or the pause cannot be used.
    """
    decider = Decider(until)
    made = Repeat(
        as_flow(flow),
        decider,
        whole_number("limit", limit, 1, MAX_ROUNDS),
        0 if every is None else duration_ms(every, name="every"),
    )
    when_resolved(made.check)
    registry.current().add_decider(decider)
    return made
