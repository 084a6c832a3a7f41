"""Very many messages that fall due in one instant drain smoothly."""

from __future__ import annotations

import os
import time

import pytest

from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet


@pytest.mark.parametrize("number", [3_000, pytest.param(50_000, marks=pytest.mark.chaos)])
@pytest.mark.timeout(300)
def test_equal_etas_drain_smoothly(fleet: Fleet, number: int) -> None:
    fleet.start(threads=8)
    sent = time.monotonic()
    ahead_ms = 1_500 + number // 4
    # Every message is delayed by what is left, so all fall due together.
    for start in range(0, number, 1_000):
        due_in = ahead_ms - int((time.monotonic() - sent) * 1000)
        assert due_in > 200, "sending took too long for this test"
        _send_delayed(fleet, min(1_000, number - start), due_in)
    due_at = sent + ahead_ms / 1000
    store = fleet.engine.store
    eventually(lambda: store.queues.count(workload.QUEUE).delayed < number, ahead_ms / 1000 + 5)
    slowest = 0.0
    while store.queues.count(workload.QUEUE).delayed:
        began = time.monotonic()
        store.queues.now_ms()
        slowest = max(slowest, time.monotonic() - began)
        assert time.monotonic() < due_at + 60
        time.sleep(0.01)
    eventually(lambda: fleet.history.states()["running"] == 0, 60 + number / 500, every=0.5)
    assert slowest < float(os.environ.get("CHAOS_SLOWEST_S", "0.25")), (
        "the server stood still for others"
    )
    fleet.history.check(gentle=True)


def _send_delayed(fleet: Fleet, number: int, due_in_ms: int) -> None:
    engine = fleet.engine
    from engine.workflow.start import Start

    starts = [Start(b"1", "default", None, due_in_ms, None)] * number
    fleet.history.accepted(engine.start_many(workload.short, starts))
