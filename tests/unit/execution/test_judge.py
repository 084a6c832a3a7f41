"""The verdict on a failed attempt, where whoever was asked says when to ask again."""

from __future__ import annotations

import pytest

from engine.execution.judge import Judge
from engine.integrations.errors import HttpUnavailable
from engine.workflow import registry
from engine.workflow.attempt import Attempt
from engine.workflow.outcome import Dead, RetryAt
from engine.workflow.retry import Retry
from engine.workflow.stage import Stage, stage

POLICY = Retry(attempts=2, base="10s", jitter=0)


@pytest.fixture
def work() -> Stage[..., int]:
    with registry.isolated():

        @stage(retry=POLICY)
        def work(number: int) -> int:
            return number

        return work


def attempt(number: int) -> Attempt:
    return Attempt("r" * 32, "t", "plan", "work", "0", "q", number, b"1", 1)


@pytest.mark.parametrize(
    ("wished_ms", "delay_ms"),
    [
        (None, 10_000),
        (0, 10_000),
        (9_000, 10_000),
        (60_000, 60_000),
        (10**12, 3_600_000),
        ("soon", 10_000),
    ],
)
def test_a_retry_is_not_sooner_than_was_asked_for_and_not_later_than_an_hour(
    work: Stage[..., int], wished_ms: object, delay_ms: int
) -> None:
    error = HttpUnavailable("a", "busy", 429)
    error.retry_after_ms = wished_ms  # type: ignore[assignment]
    outcome = Judge(lambda queue: POLICY, lambda: 0.5).outcome_of(work, attempt(1), error)
    assert isinstance(outcome, RetryAt)
    assert outcome.delay_ms == delay_ms


def test_a_wish_gives_no_further_try(work: Stage[..., int]) -> None:
    error = HttpUnavailable("a", "busy", 429, 5)
    outcome = Judge(lambda queue: POLICY, lambda: 0.5).outcome_of(work, attempt(2), error)
    assert isinstance(outcome, Dead)
