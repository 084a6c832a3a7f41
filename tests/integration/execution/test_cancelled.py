"""`ctx.cancelled`: a long stage hears that its result is unwanted; what undoes hears nothing."""

from __future__ import annotations

import time

from engine import Context, Pipeline, stage
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet

PATIENCE_S = 8.0
heard: list[tuple[str, bool]] = []
begun: list[int] = []


@stage(queue=workload.QUEUE)
def booking(number: int) -> int:
    return number


@stage(queue=workload.QUEUE)
def unbooking(number: int, ctx: Context) -> None:
    until = time.monotonic() + PATIENCE_S / 2
    while not (heard or ctx.cancelled) and time.monotonic() < until:
        time.sleep(0.05)
    heard.append(("unbooking", ctx.cancelled))


@stage(queue=workload.QUEUE)
def lasting(number: int, ctx: Context) -> int:
    begun.append(number)
    until = time.monotonic() + PATIENCE_S
    while not ctx.cancelled and time.monotonic() < until:
        time.sleep(0.05)
    heard.append(("lasting", ctx.cancelled))
    return number


booked = Pipeline("booked-then-lasting", booking.undo(unbooking) | lasting)


def test_a_stage_hears_that_its_run_is_being_undone_and_what_undoes_does_not(
    inside: Fleet,
) -> None:
    run = booked.start(1)
    eventually(lambda: begun, 10, "the long stage runs")
    assert run.cancel(undo=True)
    assert run.wait(timeout="10s") == "cancelled"
    eventually(lambda: len(heard) == 2, 10, "both have ended")
    assert heard == [("lasting", True), ("unbooking", False)]
