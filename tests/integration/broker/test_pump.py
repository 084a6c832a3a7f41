"""The pump between its server and its threads: it drops nothing, does not spin, misses no work."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.broker.pump import Pump
from engine.store.connection import Link
from tests.chaos import workload
from tests.chaos.conftest import working
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet

QUEUE = workload.QUEUE
IDLE_AT_MOST = 10  # turns a second of a process that has nothing to do


def pump_of(fleet: Fleet) -> Pump:
    """The pump of the worker in this process, which makes it when its first consumer starts."""
    pump: Pump = eventually(lambda: fleet.engine.broker._pump)
    return pump


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """The results of a method's calls from now on."""
    results: list[Any] = []
    method: Callable[..., Any] = getattr(owner, name)

    def counting(*arguments: Any, **options: Any) -> Any:
        results.append(method(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(owner, name, counting)
    return results


def test_a_batch_not_yet_handed_out_outlives_a_lost_connection(
    inside: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump, exchange_once = pump_of(inside), Link._exchange_once
    given_back = counted(monkeypatch, pump.store.transit, "reconcile")
    lost: list[int] = []

    def on_a_dead_line(link: Link, batch: Any, meanwhile: Any = None) -> list[Any]:
        if meanwhile is not None and pump._arrived and len(lost) < 10:
            lost.append(len(pump._arrived))
            link._connection._sock.shutdown(socket.SHUT_RDWR)
        return exchange_once(link, batch, meanwhile)

    monkeypatch.setattr(Link, "_exchange_once", on_a_dead_line)
    inside.history.accepted(workload.short.send_many(range(2_000)))
    inside.history.wait_ended(20)
    assert len(lost) == 10
    assert not any(given_back), "only what the process has forgotten is given back"
    inside.history.check(gentle=True)


def test_a_delay_that_falls_due_while_all_threads_are_busy_costs_no_turns(
    inside: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump = pump_of(inside)
    inside.history.accepted([workload.short.send(1, delay="200ms")])
    inside.history.accepted(workload.slow.send_many([1.5] * 4))
    eventually(lambda: len(inside.ledger.of("slow")) == 4)
    assert pump._due_at, "the process knows of the delay"
    time.sleep(0.4)
    turns, fetches = counted(monkeypatch, pump, "_take_turn"), pump._fetches
    time.sleep(0.8)
    assert len(turns) <= IDLE_AT_MOST
    assert pump._fetches == fetches, "a process without room does not fetch"
    inside.history.wait_ended(5)
    inside.history.check(gentle=True)


def test_an_idle_process_takes_few_turns(inside: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.history.accepted([workload.short.send(1)])
    inside.history.wait_ended(5)
    pump = pump_of(inside)
    turns, fetches = counted(monkeypatch, pump, "_take_turn"), pump._fetches
    time.sleep(0.8)
    assert len(turns) <= IDLE_AT_MOST
    assert pump._fetches <= fetches + 2


def suspect(fleet: Fleet, runs: list[Any]) -> None:
    """Moves the first messages of runs, which wait, to the suspects, as the reap does."""
    store = fleet.engine.store
    keys = store.links.keys
    ids = [f"{run.id}:0" for run in runs]
    waiting, suspects = (
        keys.name("waiting", queue=QUEUE, tenant="default"),
        keys.name("suspects", queue=QUEUE),
    )
    orders = [store.links.command("ZSCORE", waiting, message) for message in ids]
    places = [word for pair in zip(orders, ids, strict=True) for word in pair]
    store.links.commands([("ZREM", waiting, *ids), ("ZADD", suspects, *places)])
    if not store.links.command("EXISTS", waiting):
        store.links.command("ZREM", keys.name("ring", queue=QUEUE), "default")


@pytest.mark.parametrize("gone", [1, 450])
@pytest.mark.parametrize("others", [0, 5])
def test_suspects_that_nobody_needs_any_more_hold_nothing_up(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, gone: int, others: int
) -> None:
    """A process that has nothing asks for a suspect, and gets none: it goes on, and rests."""
    cancelled = workload.short.send_many(range(gone))
    healthy = workload.short.send_many(range(3))
    fleet.history.accepted([*cancelled, *healthy])
    suspect(fleet, [*cancelled, *healthy])
    assert all(run.cancel() for run in cancelled)
    fleet.history.accepted(workload.short.send_many(range(others)))
    with working(fleet):
        beat = eventually(lambda: fleet.engine.broker._beat)
        beat.stop()  # it would look after whatever is missed
        fleet.history.wait_ended(5)
        pump = pump_of(fleet)
        turns, fetches = counted(monkeypatch, pump, "_take_turn"), pump._fetches
        assert fetches <= 25
        time.sleep(0.5)
        assert len(turns) <= IDLE_AT_MOST
        fleet.history.accepted([workload.short.send(1)])
        fleet.history.wait_ended(5)
        fleet.history.check(gentle=True)
    assert len(fleet.ledger.of("short")) == 3 + others + 1
