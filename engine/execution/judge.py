"""The verdict on a failed attempt: another try and when, or none and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq.errors import Retry as AskedForRetry
from dramatiq.middleware import Shutdown

from engine.errors import (
    ExpressionFailed,
    NoCaseMatches,
    PayloadInvalid,
    PayloadTooLarge,
    UnknownPlan,
)
from engine.workflow.attempt import Attempt
from engine.workflow.failure import Failure
from engine.workflow.outcome import Dead, Outcome, RetryAt, Snoozed
from engine.workflow.retry import Retry
from engine.workflow.stage import Stage

# Trying again cannot help: the same input meets the same code.
HOPELESS = (PayloadInvalid, PayloadTooLarge, NoCaseMatches, ExpressionFailed)
_AFTER_SHUTDOWN_MS = 1
_WISHED_AT_MOST_MS = 3_600_000


class Judge:
    """Judges failures by the stage's retry policy, else its queue's."""

    def __init__(self, retry_of: Callable[[str], Retry], random: Callable[[], float]) -> None:
        self._retry_of = retry_of
        self._random = random

    def outcome_of(self, stage: Stage[..., Any], attempt: Attempt, error: BaseException) -> Outcome:
        """What becomes of the attempt."""
        if isinstance(error, Shutdown):
            return Snoozed(_AFTER_SHUTDOWN_MS)
        failure = Failure.of(error)
        if isinstance(error, HOPELESS):
            return Dead(error.code, failure)
        policy = stage.retry or self._retry_of(stage.queue)
        if not isinstance(error, (AskedForRetry, UnknownPlan)) and not policy.covers(error):
            return Dead("given_up", failure)
        delay_ms = policy.delay_ms(attempt.number, self._random)
        if delay_ms is None:
            return Dead("attempts_exhausted", failure)
        if isinstance(error, AskedForRetry) and error.delay is not None:
            delay_ms = int(error.delay)
        # Whoever was asked said when to ask again: later than the policy, never sooner.
        wished_ms = getattr(error, "retry_after_ms", None)
        if isinstance(wished_ms, int):
            delay_ms = max(delay_ms, min(wished_ms, _WISHED_AT_MOST_MS))
        return RetryAt(delay_ms, failure)
