"""A run: one execution of a plan, as seen and handled from outside.

Owns: the states, the views and the `Run` handle. Must not: know the store; it asks its engine.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import StrEnum
from typing import Any

import msgspec

from engine.clock import Duration, duration_ms
from engine.current import Engine
from engine.errors import UnknownPlan, WaitTimeout
from engine.workflow.drawing import draw
from engine.workflow.names import definition_name, key_name, new_run_id, shard_of
from engine.workflow.payload import ValueCodec, decode_untyped, encode_untyped
from engine.workflow.plan import Plan
from engine.workflow.start import Start

__all__ = ["JoinView", "Run", "RunState", "RunView", "StageView", "Start", "new_run_id", "shard_of"]

_WAIT_SLICE_MS = 30_000


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    UNDOING = "undoing"  # a stage died; what others have done is taken back before it is failed
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in (RunState.RUNNING, RunState.UNDOING)


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a run. Times in milliseconds, None before they are known.

    `state` is "open" while its message waits or runs, then "done" or "dead".
    """

    position: str
    stage: str
    state: str
    attempts: int = 0
    wait_ms: int | None = None
    run_ms: int | None = None


class JoinView(msgspec.Struct, frozen=True, kw_only=True):
    """A join that still waits. `members` is None while nobody knows how many will come."""

    position: str
    arrived: int
    members: int | None = None


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run at one moment. Times are milliseconds since 1970.

    `progress` is what a stage said last, by position, such as `3/10`; `replay_of` is the run whose
    results this one reuses.
    """

    id: str
    pipeline: str
    state: RunState
    tenant: str
    key: str | None = None
    started_at_ms: int = 0
    ended_at_ms: int | None = None
    stages: tuple[StageView, ...] = ()
    joins: tuple[JoinView, ...] = ()
    plan: Plan | None = None
    attributes: dict[str, str] = {}
    progress: dict[str, str] = {}
    replay_of: str | None = None


class Run:
    """A handle to one run.

    Attributes:
        id: 32 hex digits.
        duplicate: whether the start repeated an earlier one, whose run this is.
    """

    __slots__ = ("_engine", "duplicate", "id")

    def __init__(self, id: str, engine: Engine, duplicate: bool = False) -> None:  # noqa: A002
        self.id = id
        self.duplicate = duplicate
        self._engine = engine

    def view(self) -> RunView:
        """Return the run with its stages; raises RunNotFound."""
        return self._engine.view(self.id)

    def draw(self, format: str = "mermaid") -> str:  # noqa: A002 - the word of the caller
        """Return the run's plan as a picture with its states and timings.

        Args:
            format: "mermaid" for a flowchart's text, or "svg".

        Raises:
            UnknownFormat: the format is neither of the two.
            UnknownPlan: the store no longer has the run's plan.
            RunNotFound: no such run is stored.
        """
        view = self.view()
        if view.plan is None:
            raise UnknownPlan(view.pipeline)
        return draw(view.plan, format, view)

    def status(self) -> RunState:
        """Return the run's state; raises RunNotFound."""
        return RunState(self._engine.wait(self.id, 0))

    def wait(self, timeout: Duration | None = "30s") -> RunState:
        """Wait for the end and return the state then; None waits as long as it takes.

        Raises:
            WaitTimeout: the run has not ended in time; it goes on.
            RunNotFound: no such run is stored.
        """
        if timeout is None:
            return self._wait_on()
        timeout_ms = duration_ms(timeout, name="timeout")
        state = RunState(self._engine.wait(self.id, timeout_ms))
        if not state.ended:
            raise WaitTimeout(self.id, timeout_ms)
        return state

    def result(self, timeout: Duration | None = None, *, into: Any = None) -> Any:
        """Wait for the end and return the result.

        Args:
            timeout: how long to wait; None as long as it takes.
            into: a type to validate the result into; None gives plain JSON data.

        Raises:
            RunFailed, RunCancelled: the run has no result.
            WaitTimeout, RunNotFound: as `wait`.
        """
        self.wait(timeout)
        return _decoded(self._engine.result(self.id), into)

    def cancel(self, *, undo: bool = False) -> bool:
        """Cancel the run: stages not begun will not begin. False if it had ended before.

        With `undo`, the completed stages that name an undo are undone, the last one first.
        """
        return self._engine.cancel(self.id, undo=undo)

    def signal(self, name: str, value: Any = None, *, once: str | None = None) -> bool:
        """Send the run a value; `wait_for(name)` takes it, now or when the run comes to it.

        Args:
            name: what the wait waits for.
            value: anything that has a JSON form.
            once: an id of the sender's; a signal repeated under the same id changes nothing.

        Returns:
            Whether it was taken in; False for a repetition.

        Raises:
            RunNotFound, RunEnded: the run takes no signal.
            SignalsFull: 1,000 of this name are waiting to be waited for.
            PayloadTooLarge: the value is over the limit.
        """
        return self._engine.signal(
            self.id, definition_name("signal", name), encode_untyped(value), once=key_name(once)
        )

    def pause(self) -> bool:
        """Hold the run: what is running ends, nothing more begins. False if it was held."""
        return self._engine.pause(self.id)

    def resume(self) -> bool:
        """Let a held run go on; False if it was not held."""
        return self._engine.resume(self.id)

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the end without blocking the event loop; give the result as plain data."""
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        return decode_untyped(await self._engine.await_result(self.id))

    def _wait_on(self) -> RunState:
        while True:
            state = RunState(self._engine.wait(self.id, _WAIT_SLICE_MS))
            if state.ended:
                return state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<run {self.id}>"


def _decoded(raw: bytes, into: Any) -> Any:
    if into is None:
        return decode_untyped(raw)
    return ValueCodec("run", "result", into).decode(raw)
