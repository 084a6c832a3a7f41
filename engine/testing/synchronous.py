"""Synchronous processing: the caller of a start does the work, then and there.

Owns: `SynchronousEngine`, what a service falls back to without a store. Must not: promise anything
beyond the life of the process: there is no other place where work is kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from engine.clock import Duration, duration_ms
from engine.errors import IdempotentRunFailed, RunNotFound
from engine.testing.claims import Claims, Definition
from engine.testing.clock import WallClock
from engine.testing.handle import InlineRun
from engine.testing.inline import InlineEngine
from engine.workflow import registry
from engine.workflow.retry import Retry
from engine.workflow.run import Run, RunState, RunView
from engine.workflow.start import Start

_KEPT = 1_000


class SynchronousEngine:
    """Runs each pipeline in the call that starts it, by the machine's clock.

    Every run is a world of its own, so threads of a service do not wait for each other. A start
    returns when its run has ended, when nothing but a signal would bring it on, or when what comes
    next is further away than `patience`; `run.wait()` and `catch_up()` go on from there.

    Args:
        patience: how long a start may sleep, all in all, for retries and pauses.
        retry: policy of stages that declare none.
        definitions: where stages are found; those of the process if left out.
    """

    def __init__(
        self,
        *,
        patience: Duration = "60s",
        retry: Retry | None = None,
        definitions: registry.Registry | None = None,
    ) -> None:
        self._patience_ms = duration_ms(patience, name="patience")
        self._retry = retry
        self._definitions = definitions
        self._clock = WallClock()
        self._lock = threading.Lock()
        self._worlds: dict[str, InlineEngine] = {}
        self._claims = Claims(self._clock, lambda run_id: self.view(run_id).state)

    def bind(self, definition: Definition) -> None:
        """Nothing is bound: definitions are looked up when they are needed."""

    def start(
        self,
        definition: Definition,
        payload: bytes,
        *,
        tenant: str,
        key: str | None,
        delay_ms: int,
        priority: int | None,
        attributes: tuple[str, ...] = (),
    ) -> Run:
        """Start a run and work on it; raises as `InlineEngine.start`."""
        start = Start(payload, tenant, key, delay_ms, priority, attributes)
        run = self._worked(definition, start)
        if run.duplicate and run.status() is RunState.FAILED:
            raise IdempotentRunFailed(run.id, key or "of the content")
        return run

    def start_many(self, definition: Definition, starts: Sequence[Start]) -> list[Run]:
        """Start runs and work on them one after the other; raises as `InlineEngine.start_many`."""
        return [self._worked(definition, start) for start in starts]

    async def astart(self, definition: Definition, payload: bytes, **options: Any) -> Run:
        """Start a run and work on it in another thread."""
        return await asyncio.to_thread(self.start, definition, payload, **options)

    def _worked(self, definition: Definition, start: Start) -> Run:
        with self._lock:
            holder = self._claims.holder(definition, start)
            if holder is not None and holder in self._worlds:
                return InlineRun(holder, self._worlds[holder], duplicate=True)
            world = InlineEngine(
                clock=self._clock, retry=self._retry, definitions=self._definitions
            )
            run = world.start(definition, start.payload, **start.options())
            self._claims.take(definition, start, run.id)
            self._keep(run.id, world)
        world.work_on(run.id, self._patience_ms)
        return run

    def _keep(self, run_id: str, world: InlineEngine) -> None:
        if len(self._worlds) >= _KEPT:
            ended = [one for one, held in self._worlds.items() if held.view(one).state.ended]
            for one in ended[: _KEPT // 10]:
                del self._worlds[one]
        self._worlds[run_id] = world

    def catch_up(self) -> None:
        """Work on what has fallen due since, of all runs; for a service to call now and then."""
        for world in list(self._worlds.values()):
            world.run_due()

    def view(self, run_id: str) -> RunView:
        """Return the run with its stages; raises RunNotFound."""
        return self._world(run_id).view(run_id)

    def wait(self, run_id: str, timeout_ms: int) -> RunState:
        """Work on a run until it has ended, for so long at most; return its state then."""
        return self._world(run_id).wait(run_id, timeout_ms)

    def result(self, run_id: str) -> bytes:
        """Return the result of a completed run; raises RunFailed, RunCancelled, RunNotFound."""
        return self._world(run_id).result(run_id)

    async def await_result(self, run_id: str) -> bytes:
        """Work on a run in another thread; result and errors as `result`."""
        while not (await asyncio.to_thread(self.wait, run_id, 10_000)).ended:
            pass
        return self.result(run_id)

    def cancel(self, run_id: str, *, undo: bool = False) -> bool:
        """Cancel a run; False if it had ended before. With `undo`, undo what it did."""
        world = self._world(run_id)
        if not undo:
            return world.cancel(run_id)
        cancelled = world.cancel(run_id, undo=True)
        world.work_on(run_id, self._patience_ms)
        return cancelled

    def pause(self, run_id: str) -> bool:
        """Hold a run; False if it was held."""
        return self._world(run_id).pause(run_id)

    def resume(self, run_id: str) -> bool:
        """Let a held run go on and work on it; False if it was not held."""
        world = self._world(run_id)
        resumed = world.resume(run_id)
        world.work_on(run_id, self._patience_ms)
        return resumed

    def signal(self, run_id: str, name: str, value: bytes, *, once: str | None = None) -> bool:
        """Send a signal to a run and work on it; False if `once` did so before."""
        world = self._world(run_id)
        sent = world.signal(run_id, name, value, once=once)
        world.work_on(run_id, self._patience_ms)
        return sent

    def _world(self, run_id: str) -> InlineEngine:
        world = self._worlds.get(run_id)
        if world is None:
            raise RunNotFound(run_id)
        return world
