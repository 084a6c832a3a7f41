"""Batches: many runs, one call; each item ends for itself."""

from __future__ import annotations

import time

from tests.chaos import workload
from tests.chaos.conftest import working
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet


def calls(fleet: Fleet) -> list[int]:
    """How many items each call had, in order."""
    return [int(e.item) for e in fleet.ledger.of("gathered")]


def test_messages_of_many_runs_make_one_call(inside: Fleet) -> None:
    runs = workload.gathering.start_many(range(60))
    inside.history.accepted(runs)
    inside.history.wait_ended(10)
    assert [run.result() for run in runs] == [number * 10 for number in range(60)]
    assert sum(calls(inside)) == 60
    assert max(calls(inside)) == workload.BATCH


def test_the_first_item_does_not_wait_for_company_that_does_not_come(inside: Fleet) -> None:
    sent = time.monotonic()
    assert workload.gathering.start(4).result("5s") == 40
    assert 0.2 <= time.monotonic() - sent <= 1.5
    assert calls(inside) == [1]


def test_an_exception_in_the_place_of_a_result_fails_that_item_alone(inside: Fleet) -> None:
    runs = workload.gathering.start_many([1, workload.SICK, 3])
    inside.history.accepted(runs)
    inside.history.wait_ended(10)
    assert [run.status().value for run in runs] == ["completed", "failed", "completed"]
    assert calls(inside) == [3, 1], "the sick one had another attempt by itself"


def test_a_call_that_raises_fails_every_item_and_is_tried_again(inside: Fleet) -> None:
    runs = workload.gathering.start_many([workload.ONCE_FATAL, 2])
    inside.history.accepted(runs)
    inside.history.wait_ended(10)
    assert [run.status().value for run in runs] == ["completed", "completed"]
    assert sum(calls(inside)) == 4


def test_tenants_do_not_share_a_call(inside: Fleet) -> None:
    runs = workload.gathering.start_many(range(6), tenant=lambda number: f"t{number % 2}")
    inside.history.accepted(runs)
    inside.history.wait_ended(10)
    assert calls(inside) == [3, 3]


def test_what_is_gathered_goes_out_when_the_worker_stops(fleet: Fleet) -> None:
    with working(fleet):
        run = workload.gathering.start(1)
        fleet.history.accepted([run])
        eventually(lambda: fleet.engine.store.queues.count(workload.QUEUE).leased == 1)
    assert run.status() == "completed"
    fleet.history.check(gentle=False)
