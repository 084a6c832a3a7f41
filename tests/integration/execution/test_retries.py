"""Retries of stages come when the policy says, and end as it says."""

from __future__ import annotations

from itertools import pairwise

from engine import Context, Retry, stage
from tests.chaos import workload
from tests.chaos.fleet import Fleet


@stage(queue=workload.QUEUE, retry=Retry(attempts=4, base="200ms", factor=2, max="500ms", jitter=0))
def always_fails(number: int, ctx: Context) -> None:
    workload.note(ctx, ctx.attempt)
    raise RuntimeError("always")


@stage(queue=workload.QUEUE, retry=Retry(attempts=4, base="10ms", give_up_on=(ValueError,)))
def gives_up(number: int, ctx: Context) -> None:
    workload.note(ctx)
    raise ValueError("hopeless")


def test_tries_come_in_the_policys_time(inside: Fleet) -> None:
    run = always_fails.send(1)
    inside.history.accepted([run])
    inside.history.wait_ended(10)
    tries = inside.ledger.of("always_fails")
    assert [effect.item for effect in tries] == ["1", "2", "3", "4"]
    gaps = [later.at_ms - sooner.at_ms for sooner, later in pairwise(tries)]
    for gap, due in zip(gaps, (200, 400, 500), strict=True):
        assert due <= gap <= due + 150, gaps
    letter = inside.engine.store.letters.read(f"{run.id}:0")
    assert letter is not None
    assert (letter.reason, letter.attempt, len(letter.errors)) == ("attempts_exhausted", 4, 3)
    inside.history.check(gentle=True, failed=1)


def test_a_hopeless_error_is_not_tried_again(inside: Fleet) -> None:
    inside.history.accepted([gives_up.send(1)])
    inside.history.wait_ended(5)
    assert len(inside.ledger.of("gives_up")) == 1
    inside.history.check(gentle=True, failed=1)
