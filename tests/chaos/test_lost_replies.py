"""Replies and requests of every script lost, a slow and a deaf line: nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.store.queues import Limits
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import Producer, send_some
from tests.chaos.proxy import Proxy, every, nothing
from tests.chaos.test_gentle import check_plain


def settle(fleet: Fleet, proxy: Proxy) -> None:
    fleet.history.wait_ended(40)
    proxy.rule = nothing
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)


@pytest.mark.parametrize(
    "fault", ["lose_reply", pytest.param("lose_request", marks=pytest.mark.chaos)]
)
@pytest.mark.parametrize(
    "script", ["start", "enqueue", "fetch", "commit", "beat", "enlist", "BLPOP", "SCRIPT LOAD"]
)
def test_a_lost_call_changes_nothing(behind: Fleet, proxy: Proxy, script: str, fault: str) -> None:
    proxy.rule = every(script, 3, fault)  # type: ignore[arg-type]
    send_some(behind, 8)
    settle(behind, proxy)


def test_every_fifth_call_of_any_kind_lost(behind: Fleet, proxy: Proxy) -> None:
    proxy.rule = every("*", 5)
    with Producer(behind):
        eventually(lambda: proxy.cuts.total() > 60, 30, lambda: proxy.cuts)
    settle(behind, proxy)


def test_a_line_cut_and_slow_again_and_again(behind: Fleet, proxy: Proxy) -> None:
    proxy.delay_s = 0.01
    with Producer(behind, pause_s=0.3):
        for _ in range(8):
            done = len(behind.ledger.read())
            eventually(lambda n=done: len(behind.ledger.read()) > n + 5, 20)
            proxy.cut_all()
    proxy.delay_s = 0
    settle(behind, proxy)


def test_a_deaf_line_longer_than_the_patience(behind: Fleet, proxy: Proxy) -> None:
    send_some(behind, 8)
    eventually(behind.ledger.read)
    proxy.deaf = True
    with pytest.raises(AssertionError):
        eventually(lambda: not proxy.deaf, 8)  # patience is 5 s
    proxy.deaf = False
    behind.history.wait_ended(40)
    check_plain(behind, gentle=False)
    behind.history.check(gentle=False)


def test_a_reconcile_that_comes_late_gives_back_nothing_newer(behind: Fleet, proxy: Proxy) -> None:
    behind.history.accepted([workload.short.send(1)])
    behind.history.wait_ended(5)
    pump = eventually(lambda: behind.engine.broker._pump)
    proxy.rule = every("reconcile", 1_000, "late")
    pump.reconcile()
    eventually(lambda: proxy.calls["reconcile"] >= 2, 5, "sent again on another connection")
    behind.history.accepted(workload.slow.send_many([1.5] * 4))
    eventually(lambda: len(behind.ledger.of("slow")) == 4, 0.9, "begun before the late one comes")
    settle(behind, proxy)
    assert proxy.cuts["reconcile"] == 1


def test_a_lost_reply_of_an_operators_call(behind: Fleet, proxy: Proxy) -> None:
    store = behind.engine.store
    run = workload.short.send(1, delay="1h")
    proxy.rule = every("*", 1)
    calls = {"cut": 0}

    def once(name: str, number: int) -> str | None:
        calls["cut"] += 1
        return "lose_reply" if calls["cut"] == 1 else None

    def lost(call: Callable[[], object]) -> object:
        calls["cut"] = 0
        proxy.rule = once  # type: ignore[assignment]
        return call()

    queue = workload.QUEUE
    lost(lambda: store.queues.pause(queue))
    assert store.queues.count(queue).paused
    lost(lambda: store.queues.resume(queue))
    assert not store.queues.count(queue).paused
    lost(lambda: store.queues.limit("acme", Limits(max_concurrent=1)))
    lost(lambda: store.queues.limit("acme", None))
    first = lost(lambda: store.lead("me", 5_000))
    assert first == store.lead("me", 5_000)
    dead = workload.failing.send(1)
    behind.history.accepted([dead])
    proxy.rule = nothing
    behind.history.wait_ended(10)
    [letter] = store.letters.newest(queue)
    lost(lambda: store.letters.redrive(letter))
    behind.history.wait_ended(10)
    assert [store.letters.purge(queue), store.letters.newest(queue)] == [1, []]
    lost(run.cancel)
    assert run.status() == "cancelled"
    proxy.rule = nothing
    assert len(behind.ledger.of("failing")) == 4
    assert len(behind.history.told("letter.redriven")) == 1
