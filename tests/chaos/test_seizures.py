"""A process that stands still with the interpreter in its hands, and clocks that do not agree."""

from __future__ import annotations

import math
import time
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from engine.workflow.stage import Stage
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import Producer, send_some
from tests.chaos.test_gentle import check_plain
from tests.servers import ThrowawayServer

HOUR_S = 3600


def letters_for(seconds: float) -> int:
    """How many letters hold this machine's GIL for 1 to 2 times as long."""
    letters, took = 17, 0.0
    while took < 0.15:
        letters += 1
        took = min(timeit.repeat(lambda n=letters: workload.match_in_vain(n), number=1, repeat=3))
    return letters + math.ceil(math.log2(seconds / took))


@pytest.mark.parametrize(
    ("held_s", "silence_ms"), [(6, 4_000), pytest.param(13, 10_000, marks=pytest.mark.chaos)]
)
def test_a_process_that_holds_the_gil_loses_its_leases_and_comes_back(
    fleet: Fleet, held_s: int, silence_ms: int
) -> None:
    check_seizure(fleet, workload.hold_gil, held_s, silence_ms)


@pytest.mark.parametrize(
    ("held_s", "silence_ms"), [(6, 4_000), pytest.param(13, 10_000, marks=pytest.mark.chaos)]
)
def test_a_catastrophic_regular_expression_loses_no_work_and_the_process_counts_as_dead(
    fleet: Fleet, held_s: int, silence_ms: int
) -> None:
    check_seizure(fleet, workload.backtrack, letters_for(held_s), silence_ms)


def check_seizure(fleet: Fleet, holding: Stage[..., Any], size: int, silence_ms: int) -> None:
    store, history = fleet.engine.store, fleet.history
    fleet.environment["CHAOS_SILENCE_MS"] = str(silence_ms)
    fleet.start()
    fleet.start()
    both = eventually(lambda: len(found := store.queues.consumers()) == 2 and found)
    history.accepted([holding.send(size)])
    history.accepted(workload.steady.send_many(range(3)))
    [holder] = eventually(lambda: fleet.ledger.of(holding.name))
    [before] = [c for c in both if c.pid == holder.pid]
    eventually(lambda: history.told("consumer.lost"), 25, "it is taken for dead")
    history.accepted(workload.steady.send_many(range(20)))
    history.wait_ended(40)
    eventually(lambda: len(store.queues.consumers()) == 2, 20, "it goes on under a new id")
    assert before.consumer not in [c.consumer for c in store.queues.consumers()]
    pids = {c.pid for c in store.queues.consumers()}
    assert before.pid in pids, "the process itself goes on"
    history.accepted(workload.steady.send_many(range(60)))
    history.wait_ended(20)
    assert {e.pid for e in fleet.ledger.of("steady")} == pids
    history.check(gentle=False)


@pytest.mark.parametrize("skew_s", [HOUR_S, pytest.param(-HOUR_S, marks=pytest.mark.chaos)])
def test_a_hosts_clock_an_hour_off_steals_nothing_and_hurries_nothing(
    fleet: Fleet, skew_s: int
) -> None:
    fleet.start(CHAOS_SKEW_S=str(skew_s))
    fleet.start()
    delayed = workload.short.send(1, delay="1500ms")
    sent = time.time()
    fleet.history.accepted([delayed])
    send_some(fleet, 8)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    [ran] = [e.at_ms for e in fleet.ledger.of("short") if e.run == delayed.id]
    assert 1.45 <= ran / 1000 - sent <= 3.0
    assert not fleet.history.told("consumer.lost")


@pytest.mark.parametrize("jump_s", [HOUR_S, pytest.param(-HOUR_S, marks=pytest.mark.chaos)])
def test_a_jump_of_the_servers_clock_steals_nothing(
    make_fleet: Callable[..., Fleet], calm_server: ThrowawayServer, jump_s: int
) -> None:
    fleet = make_fleet(calm_server.url, shifted=True)
    fleet.start()
    victim = fleet.start()
    run = workload.slow.send(3.0)
    fleet.history.accepted([run])
    eventually(lambda: fleet.ledger.of("slow"))
    with Producer(fleet, pause_s=0.3, each=1):
        fleet.engine.store.links.command(
            "SET", fleet.engine.store.links.keys.prefix + "clock", jump_s * 1000
        )
        eventually(lambda: run.status() == "completed", 10)
    if jump_s < 0:  # what was to fall due before the jump waits an hour more: bring the clock home
        fleet.engine.store.links.command("SET", fleet.engine.store.links.keys.prefix + "clock", 0)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    assert not fleet.history.told("consumer.lost")
    assert not fleet.history.told("message.returned")
    assert len([e for e in fleet.ledger.of("slow") if e.item == "begun"]) == 1
    fleet.stop(victim)


def test_the_dead_are_found_although_the_servers_clock_went_back(
    make_fleet: Callable[..., Fleet], calm_server: ThrowawayServer
) -> None:
    fleet = make_fleet(calm_server.url, shifted=True)
    fleet.environment["CHAOS_SILENCE_MS"] = "4000"
    fleet.start()
    victim = fleet.start()
    runs = [workload.slow.send(2.0) for _ in range(8)]
    fleet.history.accepted(runs)
    eventually(lambda: len(fleet.ledger.of("slow")) == 8)
    fleet.kill_all(victim)
    fleet.engine.store.links.command(
        "SET", fleet.engine.store.links.keys.prefix + "clock", -HOUR_S * 1000
    )
    eventually(lambda: fleet.history.told("consumer.lost"), 20)
    fleet.history.wait_ended(30)
    fleet.history.check(gentle=False)
