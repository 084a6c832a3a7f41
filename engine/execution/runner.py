"""One attempt: decode the input, run the function in its deadline, encode, say what follows.

All of it happens inside the actor call, where an exception is a failed attempt.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import msgspec
from dramatiq.asyncio import get_event_loop_thread

from engine.errors import DeadlineExceeded, PayloadTooLarge
from engine.execution.deadline import Deadlines, Struck
from engine.execution.judge import Judge
from engine.execution.plans import Plans
from engine.telemetry.logs import shown_tail
from engine.workflow.attempt import Attempt
from engine.workflow.context import Context
from engine.workflow.outcome import Dead, Done, Outcome, RetryAt
from engine.workflow.retry import Retry
from engine.workflow.stage import Stage
from engine.workflow.transitions import Decide, follow

_NO_DEADLINE = nullcontext()
ContextOf = Callable[[Attempt, int | None], Context]


class Runner:
    """Runs attempts of one engine's stages.

    Args:
        plans: Plans by hash.
        decide: Picks the case of a choose.
        retry_of: Retry policy of a queue, for stages that declare none.
        context_of: Makes the `Context` of an attempt with a deadline (ms since 1970, or None).
        payload_limit: Largest result in bytes.
    """

    def __init__(
        self,
        plans: Plans,
        decide: Decide,
        *,
        retry_of: Callable[[str], Retry],
        context_of: ContextOf,
        payload_limit: Callable[[], int],
    ) -> None:
        self._plans = plans
        self._decide = decide
        self._context_of = context_of
        self._payload_limit = payload_limit
        self._deadlines = Deadlines()
        self._judge = Judge(retry_of, random.random)

    def run(self, stage: Stage[..., Any], attempt: Attempt) -> None:
        """Runs one attempt and settles it.

        Raises:
            BaseException: What the function raised; the attempt is settled by then.
        """
        try:
            result = self._perform(stage, attempt)
            plan = self._plans.get(attempt.plan_hash)
            edges = follow(plan, attempt.position, result, self._decide)
        except BaseException as error:
            if type(error) is Struck:
                error = DeadlineExceeded(stage.name, stage.timeout_ms or 0)
            attempt.settle(_with_log(self._judge.outcome_of(stage, attempt, error), attempt))
            raise error from None
        attempt.settle(Done(result, edges, attempt.position in plan.bearers))

    def relay(self, attempt: Attempt) -> None:
        """The built-in stage that hands its input on."""
        plan = self._plans.get(attempt.plan_hash)
        edges = follow(plan, attempt.position, attempt.payload, self._decide)
        attempt.settle(Done(attempt.payload, edges, attempt.position in plan.bearers))

    def _perform(self, stage: Stage[..., Any], attempt: Attempt) -> bytes:
        inputs = stage.inputs.decode(attempt.payload)
        timeout_ms = stage.timeout_ms
        context = None
        if stage.context_parameter is not None:
            deadline = int(time.time() * 1000) + timeout_ms if timeout_ms else None
            context = self._context_of(attempt, deadline)
        if stage.is_async:
            value = _run_async(stage, inputs, context)
        else:
            with self._deadlines.within(timeout_ms) if timeout_ms else _NO_DEADLINE:
                value = stage.invoke(inputs, context)
        result = stage.output.encode(value)
        if len(result) > self._payload_limit():
            raise PayloadTooLarge(
                f"the result of stage {stage.name!r}", len(result), self._payload_limit()
            )
        return result


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
