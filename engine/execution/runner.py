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

from dramatiq.asyncio import get_event_loop_thread

from engine.errors import DeadlineExceeded, PayloadTooLarge
from engine.execution.deadline import Deadlines, Struck
from engine.execution.judge import HOPELESS, Judge
from engine.execution.plans import Plans
from engine.flows.scope import Scope
from engine.workflow.attempt import Attempt
from engine.workflow.context import Context
from engine.workflow.failure import Failure
from engine.workflow.outcome import Dead, Done
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
        recall: (run id, position) -> the stored result there; what expressions read.
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
    ) -> None:
        self._plans = plans
        self._decide = decide
        self._context_of = context_of
        self._payload_limit = payload_limit
        self._recall = recall
        self._deadlines = Deadlines()
        self._judge = Judge(retry_of, random.random)

    def run(self, stage: Stage[..., Any], attempt: Attempt) -> None:
        """Runs one attempt and settles it.

        Raises:
            BaseException: What the function raised; the attempt is settled by then.
        """
        try:
            scope = self._scope(attempt)
            if scope is None:
                result, decide = self._perform(stage, attempt, attempt.payload), self._decide
            else:
                payload = scope.received(attempt.position, attempt.payload)
                self._check_size("an expression", payload)
                result = self._perform(stage, attempt, payload)
                decide = scope.behind(attempt.position, result)
            edges = follow(self._plans.get(attempt.plan_hash), attempt.position, result, decide)
        except BaseException as error:
            if type(error) is Struck:
                error = DeadlineExceeded(stage.name, stage.timeout_ms or 0)
            attempt.settle(self._judge.outcome_of(stage, attempt, error))
            raise error from None
        attempt.settle(Done(result, edges))

    def relay(self, attempt: Attempt) -> None:
        """The built-in stage that hands its input, or what expressions make of it, on."""
        plan = self._plans.get(attempt.plan_hash)
        scope = self._scope(attempt)
        value, decide = attempt.payload, self._decide
        try:
            if scope is not None:
                value = scope.received(attempt.position, value)
                self._check_size("an expression", value)
                decide = scope.behind(attempt.position, value)
            edges = follow(plan, attempt.position, value, decide)
        except HOPELESS as error:
            attempt.settle(Dead(error.code, Failure.of(error)))
            raise
        attempt.settle(Done(value, edges))

    def _scope(self, attempt: Attempt) -> Scope | None:
        """What the expressions of the attempt's plan may read; None where it has none."""
        plan = self._plans.get(attempt.plan_hash)
        if not plan.expressive:
            return None
        run = attempt.run_id
        return Scope(plan, lambda position: self._recall(run, position), self._decide)

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
        if stage.is_async:
            value = _run_async(stage, inputs, context)
        else:
            with self._deadlines.within(timeout_ms) if timeout_ms else _NO_DEADLINE:
                value = stage.invoke(inputs, context)
        result = stage.output.encode(value)
        self._check_size(f"the result of stage {stage.name!r}", result)
        return result


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
