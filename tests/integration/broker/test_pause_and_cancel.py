"""Pausing a queue and cancelling a run reach what is leased and not begun within about a second."""

from __future__ import annotations

import time

from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet

QUEUE = workload.QUEUE


def warmed(fleet: Fleet) -> None:
    """Short work first, so that the process leases ahead."""
    fleet.history.accepted(workload.short.send_many(range(300)))
    fleet.history.wait_ended(10)


def test_a_pause_gives_back_what_has_not_begun(inside: Fleet) -> None:
    warmed(inside)
    runs = workload.slow.send_many([0.7] * 30)
    inside.history.accepted(runs)
    eventually(lambda: len(inside.ledger.of("slow")) >= 4)
    queues = inside.engine.store.queues
    queues.pause(QUEUE)
    eventually(lambda: queues.count(QUEUE).leased == 0, 2.5, lambda: queues.count(QUEUE))
    begun = len([e for e in inside.ledger.of("slow") if e.item == "begun"])
    assert begun < 20
    time.sleep(0.5)
    assert len([e for e in inside.ledger.of("slow") if e.item == "begun"]) == begun
    queues.resume(QUEUE)
    inside.history.wait_ended(20)
    inside.history.check(gentle=True)


def test_a_cancelled_run_that_has_not_begun_is_dropped(inside: Fleet) -> None:
    warmed(inside)
    blockers = workload.slow.send_many([1.5] * 4)
    inside.history.accepted(blockers)
    eventually(lambda: len(inside.ledger.of("slow")) == 4)
    runs = workload.steady.send_many(range(20))
    waiting = workload.short.send(1, delay="1s")
    assert all(run.cancel() for run in (*runs, waiting))
    inside.history.accepted([*runs, waiting])
    inside.history.wait_ended(5)
    inside.history.check(gentle=True)
    assert not inside.ledger.of("steady")
    assert inside.history.states()["cancelled"] == 21
