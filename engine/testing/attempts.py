"""One attempt, run in the caller's thread: from a message to its outcome.

Owns: running stages and the built-in ones. Must not: change a run; the hop does.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec

from engine.clock import Clock
from engine.errors import DeadlineExceeded, PayloadInvalid, PayloadTooLarge, Problem, UnknownStage
from engine.execution.judge import Judge
from engine.telemetry.logs import current_attempt, stage_log
from engine.testing.agenda import Message
from engine.testing.faults import Faults
from engine.testing.ledger import Ledger
from engine.workflow.attempt import Attempt
from engine.workflow.batch import element_of
from engine.workflow.context import Context
from engine.workflow.failure import Failure
from engine.workflow.names import FAIL_STAGE, RELAY_STAGE, TIMER_STAGE
from engine.workflow.nodes import StageNode
from engine.workflow.outcome import Dead, Done, Outcome
from engine.workflow.payload import ValueCodec, decode_untyped
from engine.workflow.registry import Registry
from engine.workflow.retry import Retry
from engine.workflow.run import RunState
from engine.workflow.stage import Stage
from engine.workflow.transitions import PlanOf, follow, joined, timed_out

Progress = Callable[[Ledger, Attempt, float, float | None], None]


class Crashed(NamedTuple):
    """The worker died after the function ran; `forgiven` says whether the message returns."""

    forgiven: bool


@dataclass(slots=True)
class _BuiltIn:
    """What a judge asks of a stage, for one that has no function."""

    queue: str
    retry: Retry | None = None


@dataclass(slots=True)
class Workshop:
    """What attempts are run with.

    Attributes:
        definitions: stages and deciders.
        plan_of: plan by its hash, for child runs.
        faults: what is in the way.
        judge: the verdict on failures.
        clock: tells when a deadline is.
        max_payload_bytes: of a result.
        report: takes in what a stage says of its progress.
    """

    definitions: Registry
    plan_of: PlanOf
    faults: Faults
    judge: Judge
    clock: Clock
    max_payload_bytes: int
    report: Progress

    def pause_ms(self, message: Message) -> int:
        """Return how long an attempt is under way before its function runs."""
        send = message.send
        pause_ms = self.faults.pause_ms(send.stage, message.number, send.input)
        return min(pause_ms, self._timeout_ms(send.stage) or pause_ms)

    def run(
        self, ledger: Ledger, message: Message
    ) -> tuple[Outcome | Crashed, BaseException | None]:
        """Run one attempt; return how it ended and the exception behind a failure."""
        send = message.send
        attempt = self._attempt(ledger, message)
        if send.stage == FAIL_STAGE:
            return _failed(send.input), None
        held = current_attempt.set(attempt)
        try:
            return self._outcome(ledger, message, attempt), None
        except UnknownStage as error:
            return Dead(error.code, Failure.of(error)), error
        except Exception as error:  # noqa: BLE001 - whatever a stage raises is a failed attempt
            judged = self.definitions.stages.get(send.stage) or _BuiltIn(send.queue)
            stage = cast("Stage[..., Any]", judged)
            return self.judge.outcome_of(stage, attempt, error), error
        finally:
            current_attempt.reset(held)

    def run_batch(
        self, members: list[tuple[Ledger, Message]]
    ) -> list[tuple[Outcome, BaseException | None]]:
        """Run one call of a stage for many messages; return how each ended."""
        attempts = [self._attempt(ledger, message) for ledger, message in members]
        stage = self.definitions.stage(attempts[0].stage)
        try:
            values = self._values(stage, attempts)
        except Exception as error:  # noqa: BLE001 - it is every item's failure
            values = [error for _ in attempts]
        ended: list[tuple[Outcome, BaseException | None]] = []
        codec = ValueCodec(stage.name, "result", element_of(stage.gives()))
        for (ledger, _), attempt, value in zip(members, attempts, values, strict=True):
            try:
                if isinstance(value, BaseException):
                    raise value  # noqa: TRY301 - judged as if the item's own call had raised it
                result = codec.encode(value)
                edges = follow(
                    ledger.plan, attempt.position, result, self.definitions.decide, self.plan_of
                )
                ended.append((Done(result, edges), None))
            except Exception as error:  # noqa: BLE001
                ended.append((self.judge.outcome_of(stage, attempt, error), error))
        return ended

    def _values(self, stage: Stage[..., Any], attempts: list[Attempt]) -> list[Any]:
        for attempt in attempts:
            failure = self.faults.failure_of(stage.name, attempt.number, attempt.payload)
            if failure is not None:
                raise failure
        value = stage.invoke(stage.inputs.decode(joined(a.payload for a in attempts)), None)
        values = _awaited(value) if stage.is_async else value
        if not isinstance(values, list | tuple) or len(values) != len(attempts):
            problem = Problem("", f"not a list of {len(attempts)} results")
            raise PayloadInvalid(stage.name, "result", [problem])
        return list(values)

    def _attempt(self, ledger: Ledger, message: Message) -> Attempt:
        send = message.send
        return Attempt(
            run_id=ledger.id,
            tenant=ledger.tenant,
            plan_hash=ledger.plan.hash,
            stage=send.stage,
            position=send.position,
            queue=send.queue,
            number=message.number,
            payload=send.input,
            token=message.token,
            pipeline=ledger.pipeline,
        )

    def _outcome(self, ledger: Ledger, message: Message, attempt: Attempt) -> Outcome | Crashed:
        send, decide = message.send, self.definitions.decide
        if send.stage == TIMER_STAGE:
            edges = timed_out(ledger.plan, send.position, send.input, decide, self.plan_of)
            if edges is None:
                return Dead("wait_timed_out", _timeout_of(ledger, send.position))
            return Done(send.input, edges)
        result = send.input if send.stage == RELAY_STAGE else self._result(ledger, message, attempt)
        if isinstance(result, Crashed):
            return result
        return Done(result, follow(ledger.plan, send.position, result, decide, self.plan_of))

    def _result(self, ledger: Ledger, message: Message, attempt: Attempt) -> bytes | Crashed:
        stage = self.definitions.stage(attempt.stage)
        timeout_ms = stage.timeout_ms
        given = (stage.name, attempt.number, attempt.payload)
        if timeout_ms is not None and self.faults.pause_ms(*given) >= timeout_ms:
            raise DeadlineExceeded(stage.name, timeout_ms)
        failure = self.faults.failure_of(*given)
        if failure is not None:
            raise failure
        value = stage.invoke(stage.inputs.decode(attempt.payload), self._context(ledger, attempt))
        result = stage.output.encode(_awaited(value) if stage.is_async else value)
        if len(result) > self.max_payload_bytes:
            owner = f"the result of stage {stage.name!r}"
            raise PayloadTooLarge(owner, len(result), self.max_payload_bytes)
        if self.faults.crashes(stage.name, message.stalls, attempt.payload):
            allowed = 1 if stage.max_stalls is None else stage.max_stalls
            return Crashed(message.stalls < allowed)
        return result

    def _timeout_ms(self, stage: str) -> int | None:
        found = self.definitions.stages.get(stage)
        return found.timeout_ms if found else None

    def _context(self, ledger: Ledger, attempt: Attempt) -> Context:
        timeout_ms = self._timeout_ms(attempt.stage)
        return Context(
            attempt.run_id,
            attempt.tenant,
            stage=attempt.stage,
            attempt=attempt.number,
            deadline_at_ms=None if timeout_ms is None else self.clock.now_ms() + timeout_ms,
            token=attempt.token,
            log=stage_log(),
            outputs=_Outputs(ledger),
            progress=lambda done, total: self.report(ledger, attempt, done, total),
            cancelled=lambda: (
                ledger.state is RunState.CANCELLED or ledger.is_closed(attempt.position)
            ),
        )


class _Outputs(Mapping[str, Any]):
    """Results of the run's stages by name, as far as they are known."""

    def __init__(self, ledger: Ledger) -> None:
        self._outputs = ledger.outputs
        nodes = enumerate(ledger.plan.nodes)
        self._positions = {n.stage: str(i) for i, n in nodes if isinstance(n, StageNode)}

    def __getitem__(self, stage: str) -> Any:
        output = self._outputs.get(self._positions[stage])
        if output is None:
            raise KeyError(stage)
        return decode_untyped(output)

    def __iter__(self) -> Iterator[str]:
        return (stage for stage, at in self._positions.items() if at in self._outputs)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Story(msgspec.Struct):
    reason: str
    message: str


def _failed(story: bytes) -> Dead:
    told = msgspec.json.decode(story, type=_Story)
    return Dead(told.reason, Failure(told.reason, told.message))


def _timeout_of(ledger: Ledger, position: str) -> Failure:
    wait = ledger.waits.get(position)
    name = wait.name if wait else ""
    return Failure("wait_timed_out", f"the signal {name!r} did not come in time")


def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # A loop cannot run inside another one of the same thread.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, coroutine).result()
