"""What a stage may know about the attempt it runs in.

Owns: the `Context` a stage receives for a parameter annotated with it. Must not: reach into the
engine; the movement storey injects what reports and what asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.clock import Duration
from engine.workflow.callback import REJECTED, Callback
from engine.workflow.names import definition_name


def _ignore(_done: float, _total: float | None) -> None:
    return None


def _never() -> bool:
    return False


def _nowhere(name: str, _ttl: Duration | None, _reason: str) -> Callback:
    return Callback(f"test-{name}", f"test-{name}", "http://test.invalid")


CallbackOf = Callable[[str, Duration | None, str], Callback]
"""(name of the wait, ttl, reason of a failure) -> what ends the wait."""


class Context:
    """One attempt, seen from inside a stage. Made by the engine, or by a test by hand.

    Attributes:
        run_id: 32 hex digits.
        tenant: for whom the run works.
        stage: name of the stage.
        attempt: 1 for the first try.
        deadline_at_ms: when the stage's timeout strikes (milliseconds since 1970), None without.
        token: grows with every delivery; hand it to outside systems as a fencing token.
        log: a logger bound to run, tenant and stage.
        outputs: results of earlier stages of the run by stage name, decoded on access.
    """

    __slots__ = (
        "_callbacks",
        "_cancelled",
        "_progress",
        "attempt",
        "deadline_at_ms",
        "log",
        "outputs",
        "run_id",
        "stage",
        "tenant",
        "token",
    )

    def __init__(  # noqa: PLR0913 - one per attribute, all but the first two by keyword
        self,
        run_id: str,
        tenant: str = "default",
        *,
        stage: str = "",
        attempt: int = 1,
        deadline_at_ms: int | None = None,
        token: int = 0,
        log: Any = None,
        outputs: Mapping[str, Any] | None = None,
        progress: Callable[[float, float | None], None] = _ignore,
        cancelled: Callable[[], bool] = _never,
        callbacks: CallbackOf = _nowhere,
    ) -> None:
        self.run_id = run_id
        self.tenant = tenant
        self.stage = stage
        self.attempt = attempt
        self.deadline_at_ms = deadline_at_ms
        self.token = token
        self.log = log
        self.outputs: Mapping[str, Any] = {} if outputs is None else outputs
        self._progress = progress
        self._cancelled = cancelled
        self._callbacks = callbacks

    def progress(self, done: float, total: float | None = None) -> None:
        """Report how far the work is; cheap, the engine decides what to send on."""
        self._progress(done, total)

    def callback(
        self, name: str, *, ttl: Duration | None = None, reason: str = REJECTED
    ) -> Callback:
        """Return what ends the `wait_for(name)` behind this stage, once, for whoever is given it.

        An answer that comes before the wait begins counts. Every try of the attempt gives a
        callback to the same wait.

        Args:
            name: of the wait: the next one in reading order, inside the same each or repeat.
            ttl: how long it may be used; None as long as the wait is open.
            reason: of the dead letter, should the callback bring a failure.

        Raises:
            NoWaitAhead: the plan has no such wait behind the stage.
            OptionInvalid, InvalidDuration: the ttl is not above 0 and at most ten years.
            StoreError: the store was asked for its secret or its clock and did not answer.
        """
        return self._callbacks(name, ttl, definition_name("reason", reason))

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled while the stage runs; a long stage looks now and then."""
        return self._cancelled()

    def __repr__(self) -> str:
        return f"Context(run_id={self.run_id!r}, stage={self.stage!r}, attempt={self.attempt})"
