"""Deadlines strike in time, and a stage that is struck leaves no broken connection behind."""

from __future__ import annotations

import pytest

from engine import Context, Pipeline, Retry, stage
from tests.chaos import workload
from tests.chaos.fleet import Fleet


@stage(queue=workload.QUEUE, timeout="30ms", retry=Retry(attempts=1))
def sends_until_struck(number: int, ctx: Context) -> int:
    while True:
        run = workload.short.send(number, delay="1h")
        assert run.view().id == run.id
        assert not ctx.cancelled


struck = Pipeline("struck", sends_until_struck)


@pytest.mark.parametrize("which", [workload.overdue, workload.overdue_async], ids=["sync", "async"])
def test_a_deadline_strikes_at_most_50_ms_late(inside: Fleet, which: object) -> None:
    runs = which.send_many([5.0] * 12)  # type: ignore[attr-defined]
    inside.history.accepted(runs)
    inside.history.wait_ended(20)
    lasted = sorted(int(e.item) for e in inside.ledger.read() if e.stage.startswith("overdue"))
    assert len(lasted) == 12
    # Four busy threads share one interpreter lock; the median shows the watcher.
    assert lasted[0] >= 150  # the deadline is armed a little before the stage looks at its clock
    assert lasted[len(lasted) // 2] <= 250
    inside.history.check(gentle=True, failed=12)
    [letter] = inside.engine.store.letters.newest(workload.QUEUE, at_most=1)
    story = inside.engine.store.letters.read(letter)
    assert story is not None
    assert b"DeadlineExceeded" in story.story


def test_a_deadline_that_strikes_between_request_and_reply_breaks_no_connection(
    inside: Fleet,
) -> None:
    runs = struck.start_many(list(range(60)))
    inside.history.accepted(runs)
    inside.history.wait_ended(30)
    told = inside.history.told("stage.died", stage="sends_until_struck")
    assert len(told) == 60
    stories = [
        inside.engine.store.letters.read(m)
        for m in inside.engine.store.letters.newest(workload.QUEUE, at_most=99)
    ]
    kinds = {letter.story.split(b'"')[3] for letter in stories if letter}
    assert {kind.rpartition(b".")[2] for kind in kinds} == {b"DeadlineExceeded"}
    for number in range(50):
        run = workload.short.send(number)
        assert run.view().id == run.id
        assert run.wait(timeout="5s") == "completed"
