"""Limits of tenants and queues: exact, decided where a message is fetched, and never a dead end."""

from __future__ import annotations

import pytest

from engine.store.queues import Limits
from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand


def test_a_tenant_never_has_more_than_its_slots(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_concurrent=3))
    stand.send(10)
    assert len(hand.ids(10)) == 3
    assert hand.ids(10) == []
    audit(stand)
    hand.end(next(iter(hand.held.values())))
    assert len(hand.ids(10)) == 1


def test_slots_are_counted_over_queues_and_consumers(stand: Stand) -> None:
    one, other = stand.hand("c1", ["a"]), stand.hand("c2", ["b"])
    stand.store.queues.limit("t", Limits(max_concurrent=3))
    stand.send(5, queue="a")
    stand.send(5, queue="b")
    assert [len(one.ids(2)), len(other.ids(5)), len(one.ids(5))] == [2, 1, 0]
    stand.woken("a"), stand.woken("b")
    one.end(next(iter(one.held.values())))
    assert stand.woken("a")
    assert stand.woken("b")
    audit(stand)


def test_leases_from_before_the_first_limit_count(stand: Stand, hand: Hand) -> None:
    stand.send(5)
    hand.fetch(2)
    stand.store.queues.limit("t", Limits(max_concurrent=3))
    assert len(hand.ids(5)) == 1
    audit(stand)


@pytest.mark.parametrize("verb", ["done", "retry", "dead", "snooze", "release", "drop"])
def test_every_way_of_ending_frees_the_slot(stand: Stand, hand: Hand, verb: str) -> None:
    stand.store.queues.limit("t", Limits(max_concurrent=1))
    stand.send(2)
    first = hand.fetch().deliveries[0]
    hand.fetch()
    stand.woken()
    hand.end(first, verb, delay_ms=1000)
    assert stand.woken()
    assert len(hand.ids()) == 1
    audit(stand)


def test_the_limit_of_all_holds_for_each_tenant_without_its_own(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("*", Limits(max_concurrent=1))
    stand.store.queues.limit("big", Limits(max_concurrent=3))
    for tenant in ("big", "a", "b"):
        stand.send(5, tenant=tenant)
    served = sorted(d.tenant for d in hand.fetch(20).deliveries)
    assert served == ["a", "b", "big", "big", "big"]


def test_a_limit_of_nothing_lets_nothing_run(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_concurrent=0))
    stand.send()
    assert hand.ids() == []
    stand.store.queues.limit("t", None)
    assert len(hand.ids()) == 1


def test_a_rate_is_exact_over_every_window(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_per_minute=5))
    stand.send(40)
    times: list[int] = []
    for _ in range(60):
        batch = hand.fetch(3)
        times += [batch.now_ms] * len(batch.deliveries)
        for delivery in batch.deliveries:
            hand.end(delivery)
        stand.advance(7_000)
    for start in times:
        assert sum(start <= at < start + 60_000 for at in times) <= 5
    assert len(times) >= 30


def test_a_rate_token_comes_back_at_the_millisecond(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_per_minute=2))
    stand.send(5)
    first = hand.fetch(1)
    stand.advance(10_000)
    assert len(hand.ids(5)) == 1
    stand.advance(49_000)
    late = hand.fetch(5)
    assert late.now_ms - first.now_ms < 60_000
    assert late.deliveries == []
    stand.advance(late.due_in_ms)
    again = hand.fetch(5)
    assert again.now_ms - first.now_ms >= 60_000
    assert len(again.deliveries) == 1
    audit(stand)


def test_a_rate_within_one_batch_is_exact(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_per_minute=7))
    stand.send(30)
    assert len(hand.ids(20)) == 7
    assert hand.ids(20) == []


def test_a_rate_is_shared_by_the_tenants_queues(stand: Stand) -> None:
    hand = stand.hand(queues=["a", "b"])
    stand.store.queues.limit("t", Limits(max_per_minute=3))
    stand.send(5, queue="a")
    stand.send(5, queue="b")
    assert len(hand.ids(20)) == 3
    audit(stand)


def test_a_paused_tenant_waits_and_the_others_do_not(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(paused=True))
    stand.send(3)
    stand.send(2, tenant="other")
    assert [d.tenant for d in hand.fetch().deliveries] == ["other", "other"]
    audit(stand)
    stand.woken()
    stand.store.queues.limit("t", Limits())
    assert stand.woken()
    assert len(hand.ids()) == 3


def test_a_paused_tenant_stays_paused_when_more_arrives(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(paused=True))
    stand.send()
    assert hand.ids() == []
    stand.send()
    assert hand.ids() == []


def test_resuming_all_tenants_resumes_each(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("*", Limits(paused=True))
    for i in range(5):
        stand.send(tenant=f"t{i}")
    assert hand.ids() == []
    audit(stand)
    stand.woken()
    stand.store.queues.limit("*", Limits())
    assert stand.woken()
    assert len(hand.ids()) == 5


def test_clearing_the_limit_of_all_frees_those_it_held_back(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("*", Limits(max_concurrent=1))
    stand.send(3, tenant="a")
    stand.send(3, tenant="b")
    assert len(hand.ids()) == 2
    assert hand.ids() == []
    stand.store.queues.limit("*", None)
    assert len(hand.ids()) == 4
    audit(stand)


def test_lifting_the_limit_of_all_frees_thousands_in_slices(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("*", Limits(paused=True))
    messages = [stand.message(tenant=f"t{i}") for i in range(600)]
    for at in range(0, 600, 200):
        stand.store.transit.enqueue(f"c{at}", messages[at : at + 200])
    for _ in range(4):
        hand.fetch()
    stand.store.queues.limit("*", None)
    assert sum(len(hand.ids(128)) for _ in range(10)) == 600


def test_a_raised_limit_takes_effect_at_once(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_concurrent=1))
    stand.send(5)
    hand.fetch()
    hand.fetch()
    stand.woken()
    stand.store.queues.limit("t", Limits(max_concurrent=3))
    assert stand.woken()
    assert len(hand.ids()) == 2


def test_a_queue_never_has_more_than_its_limit(stand: Stand) -> None:
    hand = stand.hand(q=3)
    for tenant in ("a", "b", "c"):
        stand.send(4, tenant=tenant)
    assert len(hand.ids(10)) == 3
    batch = hand.fetch(10)
    assert (batch.deliveries, batch.more) == ([], False)
    assert not stand.woken()
    hand.end(next(iter(hand.held.values())))
    assert stand.woken()
    assert len(hand.ids(10)) == 1
    audit(stand)


def test_a_queues_limit_holds_over_consumers_and_passes(stand: Stand) -> None:
    one, other = stand.hand("c1", q=5), stand.hand("c2", q=5)
    stand.send(20)
    assert [len(one.ids(3, shares=[("q", 1)])), len(other.ids(10))] == [3, 2]


def test_a_queue_limit_that_is_taken_away_holds_no_more(stand: Stand) -> None:
    stand.hand("c1", q=1)
    hand = stand.hand("c2")
    stand.send(5)
    assert len(hand.ids(10)) == 5


def test_a_paused_queue_hands_nothing_out(stand: Stand, hand: Hand) -> None:
    stand.send(2)
    assert stand.store.queues.pause("q") is True
    assert stand.store.queues.pause("q") is False
    batch = hand.fetch()
    assert (batch.deliveries, batch.more) == ([], False)
    assert not stand.woken()
    assert stand.store.queues.resume("q") is True
    assert stand.store.queues.resume("q") is False
    assert stand.woken()
    assert len(hand.ids()) == 2


def test_an_unknown_queue_cannot_be_paused(stand: Stand) -> None:
    before = stand.dump()
    assert stand.store.queues.pause("nowhere") is None
    assert stand.dump() == before


def test_pausing_is_told(stand: Stand) -> None:
    stand.send()
    stand.store.queues.pause("q")
    stand.store.queues.resume("q")
    assert [fact["event"] for fact in stand.events()] == ["queue.paused", "queue.resumed"]


def test_flush_drops_waiting_and_delayed_plain_messages_of_one_queue(
    stand: Stand, hand: Hand
) -> None:
    stand.send(300)
    stand.send(50, delay_ms=1000, tenant="u")
    stand.send(3, queue="other")
    run = stand.start()
    held = hand.ids(2)
    assert stand.store.queues.flush("q") == 348
    found = audit(stand).place
    assert {m for m in found if found[m].startswith("leased")} == set(held)
    assert found[f"{run}:0"] == "waiting"
    assert stand.count("other") == (3, 0, 0, 0)
