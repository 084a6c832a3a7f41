"""One attempt: decode the input, run the function in its deadline, encode, say what follows.

All of it happens inside the actor call, where an exception is a failed attempt.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.logging import get_logger

from engine.errors import DeadlineExceeded, PayloadInvalid, PayloadTooLarge, Problem, StoreError
from engine.execution.batches import Batches
from engine.execution.deadline import Deadlines, Stopped, Struck
from engine.execution.judge import HOPELESS, Judge
from engine.execution.plans import Plans
from engine.flows.scope import Scope
from engine.telemetry.logs import shown_tail
from engine.workflow.attempt import Attempt, Deferral
from engine.workflow.batch import element_of
from engine.workflow.context import Context
from engine.workflow.failure import Failure
from engine.workflow.outcome import Cancelled, Caught, Dead, Done, Outcome, RetryAt, Snoozed
from engine.workflow.payload import ValueCodec, decode_untyped
from engine.workflow.plan import Plan
from engine.workflow.retry import Retry
from engine.workflow.stage import Stage
from engine.workflow.transitions import Decide, caught, follow, joined, timed_out

_STORE_AWAY_MS = 1_000
ContextOf = Callable[[Attempt, int | None], Context]
ResultsOf = Callable[[str, str, int], list[bytes | None]]


class Runner:
    """Runs attempts of one engine's stages.

    Args:
        plans: Plans by hash.
        decide: Picks the case of a choose.
        retry_of: Retry policy of a queue, for stages that declare none.
        context_of: Makes the `Context` of an attempt with a deadline (ms since 1970, or None).
        payload_limit: Largest result in bytes.
        recall: (run id, position) -> the stored result there; what expressions read.
        results_of: Reads the results of a join's members: (run, join, number of members).
    """

    def __init__(
        self,
        plans: Plans,
        decide: Decide,
        *,
        retry_of: Callable[[str], Retry],
        context_of: ContextOf,
        payload_limit: Callable[[], int],
        recall: Callable[[str, str], bytes | None],
        results_of: ResultsOf,
    ) -> None:
        self._plans = plans
        self._decide = decide
        self._context_of = context_of
        self._payload_limit = payload_limit
        self._recall = recall
        self._results_of = results_of
        self._deadlines = Deadlines()
        self._log = get_logger(__name__, type(self))  # type: ignore[no-untyped-call]
        self._judge = Judge(retry_of, random.random)
        self.batches = Batches(self._run_batch)

    def run(self, stage: Stage[..., Any], attempt: Attempt) -> None:
        """Runs one attempt and settles it.

        Raises:
            BaseException: What the function raised; the attempt is settled by then.
            StoreError: Its plan or its input could not be read; the function did not run, the
                attempt is put off and not counted.
        """
        try:
            plan = self._ready(attempt)  # before the function: what it does is done only once
            if plan.batches and (of := plan.batches.get(attempt.position.partition(".")[0])):
                attempt.deferral = Deferral()
                self.batches.add(stage, of, attempt)
                return
            scope = self._scope(plan, attempt)
            payload, decide = attempt.payload, self._decide
            if scope is not None:
                payload = scope.received(attempt.position, payload)
                self._check_size("an expression", payload)
            result = self._perform(stage, attempt, payload)
            if scope is not None:
                decide = scope.behind(attempt.position, result)
            edges = follow(plan, attempt.position, result, decide, self._plans.get)
        except BaseException as error:
            if type(error) is Struck:
                error = DeadlineExceeded(stage.name, stage.timeout_ms or 0)
            if type(error) is Stopped:
                attempt.settle(Cancelled())
                return
            self._settle_failed(stage, attempt, error)
            raise error from None
        attempt.settle(Done(result, edges, attempt.position in plan.bearers))

    def _run_batch(self, stage: Stage[..., Any], attempts: list[Attempt]) -> None:
        """One call for many attempts; settles every one of them."""
        readable = [attempt for attempt in attempts if self._reads(stage, attempt)]
        if not readable:
            return
        try:
            results = self._call_batch(stage, readable)
        except BaseException as error:  # noqa: BLE001 - it is every item's failure
            self._log.warning("A batch of %d of stage %s failed.", len(readable), stage.name)
            if type(error) is Struck:
                error = DeadlineExceeded(stage.name, stage.timeout_ms or 0)
            for attempt in readable:
                self._settle_failed(stage, attempt, error)
            return
        codec = ValueCodec(stage.name, "result", element_of(stage.gives()))
        for attempt, value in zip(readable, results, strict=True):
            try:
                if isinstance(value, BaseException):
                    raise value  # noqa: TRY301 - judged as if the item's own call had raised it
                result = codec.encode(value)
                plan = self._plans.get(attempt.plan_hash)
                edges = follow(plan, attempt.position, result, self._decide, self._plans.get)
            except BaseException as error:  # noqa: BLE001
                self._settle_failed(stage, attempt, error)
            else:
                attempt.settle(Done(result, edges, attempt.position in plan.bearers))

    def _reads(self, stage: Stage[..., Any], attempt: Attempt) -> bool:
        """Whether the item has the type the stage declares; if not, it alone fails."""
        try:
            ValueCodec(stage.name, "item", element_of(stage.wants()[0].type)).decode(
                attempt.payload
            )
        except PayloadInvalid as error:
            self._settle_failed(stage, attempt, error)
            return False
        return True

    def _call_batch(self, stage: Stage[..., Any], attempts: list[Attempt]) -> list[Any]:
        inputs = stage.inputs.decode(joined(attempt.payload for attempt in attempts))
        results = self._call(stage, inputs, None)  # one cancelled run must not stop the others
        if not isinstance(results, list | tuple) or len(results) != len(attempts):
            problem = Problem("", f"not a list of {len(attempts)} results")
            raise PayloadInvalid(stage.name, "result", [problem])
        return list(results)

    def _settle_failed(
        self, stage: Stage[..., Any], attempt: Attempt, error: BaseException
    ) -> None:
        outcome = _with_log(self._judge.outcome_of(stage, attempt, error), attempt)
        attempt.settle(self._caught(attempt, outcome) if type(outcome) is Dead else outcome)

    def relay(self, attempt: Attempt) -> None:
        """The built-in stage that hands its input, or what expressions make of it, on.

        Raises:
            StoreError: As in `run`.
        """
        plan = self._ready(attempt)
        scope = self._scope(plan, attempt)
        value, decide = attempt.payload, self._decide
        try:
            if scope is not None:
                value = scope.received(attempt.position, value)
                self._check_size("an expression", value)
                decide = scope.behind(attempt.position, value)
            edges = follow(plan, attempt.position, value, decide, self._plans.get)
        except HOPELESS as error:
            attempt.settle(self._caught(attempt, Dead(error.code, Failure.of(error))))
            raise
        attempt.settle(Done(value, edges, attempt.position in plan.bearers))

    def time_out(self, attempt: Attempt) -> None:
        """The built-in stage that ends a wait whose time is over."""
        plan = self._ready(attempt)
        edges = timed_out(plan, attempt.position, attempt.payload, self._decide, self._plans.get)
        if edges is None:
            self._die(attempt, "wait_timed_out", "no signal came in time")
        else:
            attempt.settle(Done(b"null", edges))

    def fail(self, attempt: Attempt) -> None:
        """The built-in stage that dies for what is no stage: a join, a child run, a loop."""
        self._ready(attempt)
        story = decode_untyped(attempt.payload)
        self._die(attempt, story["reason"], story["message"])

    def _die(self, attempt: Attempt, reason: str, message: str) -> None:
        attempt.settle(self._caught(attempt, Dead(reason, Failure.named(reason, message))))

    def _caught(self, attempt: Attempt, dead: Dead) -> Dead | Caught:
        """The death, or what it means to a join that goes on without the stage."""
        plan = self._plans.get(attempt.plan_hash)  # read before, so known here
        edges = caught(plan, attempt.position, dead.error)
        return dead if edges is None else Caught(dead.reason, dead.error, edges)

    def _ready(self, attempt: Attempt) -> Plan:
        """The plan of the attempt, whose input is complete then."""
        try:
            plan = self._plans.get(attempt.plan_hash)
            if attempt.unread is not None:
                self._read_results(attempt, *attempt.unread)
        except StoreError:
            attempt.settle(Snoozed(_STORE_AWAY_MS))  # the first outcome stays
            raise
        return plan

    def _read_results(self, attempt: Attempt, join: str, members: int) -> None:
        results = self._results_of(attempt.run_id, join, members)
        if None in results:
            gone = Failure("ResultsGone", "the results that the message refers to are gone")
            attempt.settle(Dead("undecodable", gone))
            raise PayloadInvalid(attempt.stage, "input", [Problem("", "results_gone")])
        attempt.payload = joined(result for result in results if result is not None)

    def _scope(self, plan: Plan, attempt: Attempt) -> Scope | None:
        """What the expressions of the attempt's plan may read; None where it has none."""
        if not plan.expressive:
            return None

        def recall(position: str) -> bytes | None:
            try:
                return self._recall(attempt.run_id, position)
            except StoreError:
                attempt.settle(Snoozed(_STORE_AWAY_MS))  # the first outcome stays
                raise

        return Scope(plan, recall, self._decide)

    def _check_size(self, what: str, value: bytes) -> None:
        if len(value) > self._payload_limit():
            raise PayloadTooLarge(what, len(value), self._payload_limit())

    def _perform(self, stage: Stage[..., Any], attempt: Attempt, payload: bytes) -> bytes:
        inputs = stage.inputs.decode(payload)
        timeout_ms = stage.timeout_ms
        context = None
        if stage.context_parameter is not None:
            deadline = int(time.time() * 1000) + timeout_ms if timeout_ms else None
            context = self._context_of(attempt, deadline)
        run = "" if attempt.position.startswith("~") else attempt.run_id
        value = self._call(stage, inputs, context, run)
        result = stage.output.encode(value)
        self._check_size(f"the result of stage {stage.name!r}", result)
        return result

    def interrupt(
        self, runs: frozenset[str], given_up: Callable[[list[str]], frozenset[str]]
    ) -> None:
        """Interrupts the attempts of cancelled runs.

        Args:
            runs: Cancelled, or being undone.
            given_up: Says which of them nobody will undo. In the others a stage that runs is let
                finish: what it did can be undone only when it is known.
        """
        if mine := self._deadlines.working_for(runs):
            self._deadlines.interrupt(given_up(mine))

    def _call(
        self, stage: Stage[..., Any], inputs: list[Any], context: Context | None, run: str = ""
    ) -> Any:
        if stage.is_async:  # its own loop keeps the time
            return self._deadlines.within(None, _run_async, stage, inputs, context, run=run)
        return self._deadlines.within(stage.timeout_ms, stage.invoke, inputs, context, run=run)


def _with_log(outcome: Outcome, attempt: Attempt) -> Outcome:
    """What the attempt logged last goes with its failure."""
    if not attempt.log or not isinstance(outcome, RetryAt | Dead):
        return outcome
    error = msgspec.structs.replace(outcome.error, log=shown_tail(attempt.log))
    return msgspec.structs.replace(outcome, error=error)


def _run_async(stage: Stage[..., Any], inputs: list[Any], context: Context | None) -> Any:
    async def bounded() -> Any:
        seconds = stage.timeout_ms / 1000 if stage.timeout_ms else None
        try:
            async with asyncio.timeout(seconds) as bound:
                return await stage.invoke(inputs, context)
        except TimeoutError:
            if bound.expired():
                raise Struck from None
            raise

    loop = get_event_loop_thread()
    if loop is None:
        return asyncio.run(bounded())
    return loop.run_coroutine(bounded())
