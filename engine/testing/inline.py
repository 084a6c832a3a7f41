"""An engine without a server: runs of pipelines in the caller's thread, in virtual time.

Owns: `InlineEngine`, the `Engine` protocol in memory. Must not: keep anything beyond its own life.

Nothing runs by itself. A start only notes what is to be done; `run.result()`, `run.wait()`, the
clock's `advance()` or `run_until_idle()` run it. While a result is waited for, time goes at once to
whatever falls due next.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from engine import current
from engine.errors import (
    IdempotentRunFailed,
    OptionInvalid,
    PayloadTooLarge,
    RunCancelled,
    RunFailed,
    RunNotFound,
)
from engine.execution.judge import Judge
from engine.testing.agenda import Agenda, Message
from engine.testing.attempts import Crashed, Workshop
from engine.testing.claims import Claims, Definition
from engine.testing.clock import PassingClock, VirtualClock
from engine.testing.errors import RunStuck
from engine.testing.faults import Faults
from engine.testing.handle import InlineRun
from engine.testing.history import History
from engine.testing.hops import Hops
from engine.testing.ledger import Ledger
from engine.workflow import registry
from engine.workflow.attempt import Attempt
from engine.workflow.edges import Edge, Send
from engine.workflow.failure import Failure
from engine.workflow.names import new_run_id, shard_of
from engine.workflow.outcome import Dead
from engine.workflow.plan import Plan
from engine.workflow.retry import Retry
from engine.workflow.run import Run, RunState, RunView
from engine.workflow.start import Start
from engine.workflow.transitions import begin

_SILENCE_MS = 10_000
_TURNS = 100


class InlineEngine:
    """Runs pipelines without a server, for tests.

    Args:
        clock: the engine's time; virtual if left out.
        seed: shuffles the order of what is due, the same way for the same seed, and spreads the
            delays of retries by their jitter; without it the order is fixed and delays are exact.
        retry: policy of stages that declare none.
        definitions: where stages are found; those of the process if left out.
        max_payload_bytes: largest input and result.

    Attributes:
        clock: as given.
        faults: what is to go wrong.
    """

    def __init__(
        self,
        *,
        clock: PassingClock | None = None,
        seed: int | None = None,
        retry: Retry | None = None,
        definitions: registry.Registry | None = None,
        max_payload_bytes: int = 200_000,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.definitions = definitions or registry.current()
        self.faults = Faults(self.definitions)
        self._lock = threading.RLock()
        self._tokens = itertools.count(1)
        self._ids = itertools.count(1)
        self._plans: dict[str, Plan] = {}
        self._max_payload_bytes = max_payload_bytes
        self._agenda = Agenda(None if seed is None else Random(seed))  # noqa: S311 - no secret
        self._hops = Hops(self.clock, self._agenda, self._plans.__getitem__, self._new_id)
        self._claims = Claims(self.clock, lambda run_id: self._hops.runs[run_id].state)
        policy = retry or Retry()
        self._workshop = Workshop(
            definitions=self.definitions,
            plan_of=self._plans.__getitem__,
            faults=self.faults,
            judge=Judge(lambda _queue: policy, _spread(seed)),
            clock=self.clock,
            max_payload_bytes=max_payload_bytes,
            report=self._report,
        )
        if isinstance(self.clock, VirtualClock):
            self.clock.attach(self._run_until)

    # -- what definitions ask

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
    ) -> InlineRun:
        """Start one run; a repeated key gives the first.

        Raises:
            PayloadTooLarge, OptionInvalid: nothing was started.
            IdempotentRunFailed: the key belongs to a run that failed.
        """
        start = Start(payload, tenant, key, delay_ms, priority, attributes)
        run = self._started(definition, start)
        if run.duplicate and self._ledger(run.id).state is RunState.FAILED:
            raise IdempotentRunFailed(run.id, key or "of the content")
        return run

    def start_many(self, definition: Definition, starts: Sequence[Start]) -> list[Run]:
        """Start runs in bulk; raises as `start`, but a failed run's key gives its handle."""
        return [self._started(definition, start) for start in starts]

    async def astart(self, definition: Definition, payload: bytes, **options: Any) -> Run:
        """Start one run."""
        return self.start(definition, payload, **options)

    def _started(self, definition: Definition, start: Start) -> InlineRun:
        if len(start.payload) > self._max_payload_bytes:
            raise PayloadTooLarge(definition.name, len(start.payload), self._max_payload_bytes)
        with self._lock:
            holder = self._claims.holder(definition, start)
            if holder is not None:
                return InlineRun(holder, self, duplicate=True)
            plan = self._learned(definition)
            edges = self._first_edges(plan, start)
            ledger = Ledger(
                self._new_id(),
                definition.name,
                plan,
                start.tenant,
                start.key,
                self.clock.now_ms(),
                attributes=dict(each.split("=", 1) for each in start.attributes),
            )
            self._claims.take(definition, start, ledger.id)
            self._hops.begin(ledger, edges)
            return InlineRun(ledger.id, self)

    def _first_edges(self, plan: Plan, start: Start) -> list[Edge]:
        edges = begin(plan, start.payload, self.definitions.decide, self._plans.__getitem__)
        if start.delay_ms and not (len(edges) == 1 and type(edges[0]) is Send):
            raise OptionInvalid(
                "delay", start.delay_ms, "left out where a pipeline does not begin with one stage"
            )
        return [_as_asked(edge, start) for edge in edges]

    def _learned(self, definition: Definition) -> Plan:
        """Return a definition's plan as a store would give it back, and take in its children's."""
        for plan in definition.plans():
            if plan.hash not in self._plans:
                self._plans[plan.hash] = Plan.from_json(plan.to_json())
        return self._plans[definition.plan().hash]

    def _new_id(self) -> str:
        if not isinstance(self.clock, VirtualClock):
            return new_run_id()
        # Like any run id, but the same each time a test runs.
        return f"{self.clock.now_ms():012x}70008{next(self._ids):015x}"

    # -- what run handles ask

    def view(self, run_id: str) -> RunView:
        """Return the run with its stages; raises RunNotFound."""
        with self._lock:
            return self._ledger(run_id).view()

    def wait(self, run_id: str, timeout_ms: int) -> RunState:
        """Run what falls due until the run has ended or so much time has passed; 0 only looks."""
        ledger = self._ledger(run_id)
        if timeout_ms == 0:
            return ledger.state
        until_ms = self.clock.now_ms() + timeout_ms
        while not ledger.state.ended:
            if self._advanced(until_ms):
                continue
            if self.clock.now_ms() >= until_ms:
                break
            self.clock.pass_towards(until_ms)
        return ledger.state

    def finish(self, run_id: str) -> RunState:
        """Run what falls due until the run has ended; raises RunStuck, RunNotFound."""
        ledger = self._ledger(run_id)
        while not ledger.state.ended:
            if not self._advanced(None):
                raise RunStuck(run_id, self.history(run_id).waits())
        return ledger.state

    def work_on(self, run_id: str, patience_ms: int) -> None:
        """Run what falls due within so much time, until the run has ended."""
        ledger = self._ledger(run_id)
        until_ms = self.clock.now_ms() + patience_ms
        while not ledger.state.ended and self._advanced(until_ms):
            pass

    def result(self, run_id: str) -> bytes:
        """Return the result of a completed run; raises RunFailed, RunCancelled, RunNotFound."""
        ledger = self._ledger(run_id)
        if ledger.state is RunState.CANCELLED:
            raise RunCancelled(run_id)
        if ledger.state is RunState.FAILED:
            letter = ledger.letters[0]
            error = letter.error
            raise RunFailed(run_id, letter.stage, error.type, error.message) from ledger.cause
        if ledger.result is None:
            raise RunNotFound(run_id)
        return ledger.result

    async def await_result(self, run_id: str) -> bytes:
        """Run what falls due until the run has ended, in turn with the tasks of the event loop."""
        ledger = self._ledger(run_id)
        idle = 0
        while not ledger.state.ended:
            idle = 0 if self._advanced(None) else idle + 1
            if idle > _TURNS:
                raise RunStuck(run_id, self.history(run_id).waits())
            await asyncio.sleep(0)
        return self.result(run_id)

    def cancel(self, run_id: str, *, undo: bool = False) -> bool:
        """Cancel a run; False if it had ended before. With `undo`, undo what it did."""
        with self._lock:
            return self._hops.cancel(self._ledger(run_id), undo=undo)

    def signal(self, run_id: str, name: str, value: bytes, *, once: str | None = None) -> bool:
        """Send a signal with a JSON value to a run; False if `once` did so before."""
        with self._lock:
            return self._hops.signal(self._ledger(run_id), name, value, once)

    def pause(self, run_id: str) -> bool:
        """Hold a run; False if it was held."""
        with self._lock:
            return self._hops.pause(self._ledger(run_id))

    def resume(self, run_id: str) -> bool:
        """Let a held run go on; False if it was not held."""
        with self._lock:
            return self._hops.resume(self._ledger(run_id))

    # -- what tests ask

    def history(self, run: Run | str) -> History:
        """Return what has happened in a run so far; raises RunNotFound."""
        return History(
            self._ledger(run if isinstance(run, str) else run.id), self._hops.journal.events
        )

    def runs(self, pipeline: str | None = None) -> list[Run]:
        """Return all runs, child runs too, in the order in which they began."""
        return [
            InlineRun(ledger.id, self)
            for ledger in self._hops.runs.values()
            if pipeline in (None, ledger.pipeline)
        ]

    def run_due(self) -> None:
        """Run all that is due now; no time passes."""
        self._run_until(self.clock.now_ms())

    def run_until_idle(self) -> None:
        """Run everything, letting time pass, until only signals could bring anything on."""
        while self._advanced(None):
            pass

    def _run_until(self, at_ms: int) -> None:
        while self._advanced(at_ms):
            pass

    def _advanced(self, until_ms: int | None) -> bool:
        """Run a message or go to the moment when one falls due; False if none does by then."""
        if self._step():
            return True
        due_at_ms = self._agenda.next_due_ms()
        if due_at_ms is None or (until_ms is not None and due_at_ms > until_ms):
            return False
        self.clock.pass_towards(due_at_ms)
        return True

    def _step(self) -> bool:
        with self._lock:
            message = self._agenda.take(self.clock.now_ms())
            if message is None:
                return False
            ledger = self._hops.runs[message.run_id]
            if ledger.paused and not message.begun:
                ledger.aside.append(message)
                return True
            batch = ledger.plan.batches.get(message.send.position.partition(".")[0])
            if batch is not None:
                self._run_batch(message, batch.size)
                return True
            if not message.begun:
                message.token = next(self._tokens)
                self._hops.start(ledger, message)
                pause_ms = self._workshop.pause_ms(message)
                if pause_ms:
                    self._agenda.add(message, self.clock.now_ms() + pause_ms)
                    return True
        outcome, cause = self._workshop.run(ledger, message)
        with self._lock:
            if isinstance(outcome, Crashed) and outcome.forgiven:
                self._hops.stalled(ledger, message, _SILENCE_MS)
                return True
            if isinstance(outcome, Crashed):
                outcome = Dead("stalled", Failure("stalled", "its worker died again and again"))
            self._hops.commit(ledger, message, outcome, cause)
        return True

    def _run_batch(self, first: Message, size: int) -> None:
        """Run one call for a message and those of its stage and tenant that are due with it."""
        runs = self._hops.runs

        def joins_in(message: Message) -> bool:
            ledger = runs[message.run_id]
            alike = message.send.stage == first.send.stage
            return alike and ledger.tenant == runs[first.run_id].tenant and not ledger.paused

        messages = [first, *self._agenda.take_like(joins_in, size - 1)]
        for message in messages:
            message.token = next(self._tokens)
            self._hops.start(runs[message.run_id], message)
        members = [(runs[message.run_id], message) for message in messages]
        ended = self._workshop.run_batch(members)
        for (ledger, message), (outcome, cause) in zip(members, ended, strict=True):
            self._hops.commit(ledger, message, outcome, cause)

    def _report(self, ledger: Ledger, attempt: Attempt, done: float, total: float | None) -> None:
        self._hops.journal.tell(
            ledger,
            "stage.progressed",
            stage=attempt.stage,
            position=attempt.position,
            attempt=attempt.number,
            done=done,
            total=total,
        )

    def _ledger(self, run_id: str) -> Ledger:
        shard_of(run_id)
        ledger = self._hops.runs.get(run_id)
        if ledger is None:
            raise RunNotFound(run_id)
        return ledger

    # -- in use

    def __enter__(self) -> InlineEngine:
        """Make the engine current."""
        self._before = current.peek()
        current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the engine back that was current before."""
        current.set(self._before)


def _spread(seed: int | None) -> Callable[[], float]:
    return (lambda: 0.5) if seed is None else Random(seed).random  # noqa: S311 - no secret


def _as_asked(edge: Edge, start: Start) -> Edge:
    if type(edge) is not Send:
        return edge
    priority = edge.priority if start.priority is None else start.priority
    delay_ms = edge.delay_ms + start.delay_ms
    return msgspec.structs.replace(edge, priority=priority, delay_ms=delay_ms)
