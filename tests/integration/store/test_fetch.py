"""Fetch: fair, bounded, repeatable, and silent where there is nothing to do."""

from __future__ import annotations

from collections import Counter

from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand, one


def drain(hand: Hand, wanted: int, rounds: int) -> list[str]:
    """Tenants in the order in which they were served."""
    served = []
    for _ in range(rounds):
        batch = hand.fetch(wanted)
        served += [delivery.tenant for delivery in batch.deliveries]
        hand.commit(*(hand.ending(delivery) for delivery in batch.deliveries))
    return served


def test_a_flood_of_one_tenant_does_not_hold_up_the_others(stand: Stand, hand: Hand) -> None:
    stand.send(200, tenant="flood")
    for i in range(5):
        stand.send(tenant=f"small{i}")
    assert set(drain(hand, 10, 1)) == {"flood", *(f"small{i}" for i in range(5))}


def test_tenants_are_served_in_turn_one_message_at_a_time(stand: Stand, hand: Hand) -> None:
    for tenant in ("a", "b", "c"):
        stand.send(10, tenant=tenant)
    served = drain(hand, 1, 15)
    assert Counter(served) == {"a": 5, "b": 5, "c": 5}
    assert all(len(set(served[i : i + 3])) == 3 for i in range(0, 15, 3))


def test_weights_share_a_queue(stand: Stand, hand: Hand) -> None:
    for tenant, weight in (("heavy", 3), ("light", 1)):
        stand.store.queues.limit(tenant, _limits(weight=weight))
        stand.send(100, tenant=tenant)
    assert Counter(drain(hand, 1, 40)) == {"heavy": 30, "light": 10}
    assert Counter(drain(hand, 8, 5)) == {"heavy": 30, "light": 10}


def test_a_tenant_that_comes_back_does_not_claim_its_absence(stand: Stand, hand: Hand) -> None:
    stand.send(1, tenant="late")
    stand.send(100, tenant="steady")
    drain(hand, 1, 50)
    stand.send(20, tenant="late")
    assert 8 <= Counter(drain(hand, 1, 20))["late"] <= 12


def test_a_batch_is_never_larger_than_wanted(stand: Stand, hand: Hand) -> None:
    for i in range(50):
        stand.send(3, tenant=f"t{i}")
    assert len(hand.ids(7)) == 7
    audit(stand)


def test_queues_are_served_in_their_order_and_share_what_is_left(stand: Stand) -> None:
    hand = stand.hand(queues=["high", "low"])
    stand.send(10, queue="high")
    stand.send(10, queue="low")
    got = Counter(d.queue for d in hand.fetch(8, shares=[("high", 6), ("low", 2)]).deliveries)
    assert got == {"high": 6, "low": 2}
    got = Counter(d.queue for d in hand.fetch(8, shares=[("high", 6), ("low", 2)]).deliveries)
    assert got == {"high": 4, "low": 4}


def test_the_same_number_returns_the_same_batch(stand: Stand, hand: Hand) -> None:
    stand.send(20, tenant="a")
    stand.send(20, tenant="b")
    first = hand.fetch(10).deliveries
    before = stand.dump()
    assert sorted(hand.fetch(10, again=True).deliveries) == sorted(first)
    assert stand.dump() == before
    assert not {d.id for d in first} & set(hand.ids(10))


def test_the_same_number_returns_only_what_that_fetch_leased(stand: Stand, hand: Hand) -> None:
    stand.send(20)
    hand.fetch(5)
    second = hand.fetch(5).deliveries
    assert sorted(hand.fetch(5, again=True).deliveries) == sorted(second)


def test_the_same_number_of_an_empty_fetch_stays_empty(stand: Stand, hand: Hand) -> None:
    assert hand.ids() == []
    stand.send()
    assert hand.fetch(again=True).deliveries == []


def test_the_same_number_repeats_a_suspect_as_one_that_runs_alone(stand: Stand) -> None:
    dead, hand = stand.hand("dead"), stand.hand("c1")
    stand.send()
    dead.fetch()
    hand.beat()
    stand.advance(2_000)
    for _ in range(12):
        hand.beat()
        stand.advance(1_000)
    batch = hand.fetch(idle=True)
    assert batch.suspects_wait
    again = hand.fetch(idle=True, again=True)
    assert (again.suspects_wait, again.deliveries) == (True, batch.deliveries)


def test_a_message_in_its_line_twice_is_not_leased_twice_by_one_consumer(
    stand: Stand, hand: Hand
) -> None:
    stand.store.queues.limit("t", _limits(max_concurrent=5))
    [message] = stand.send()
    assert hand.ids() == [message]
    stand.client.zadd(stand.key("waiting", queue="q", tenant="t"), {message: 1})
    stand.client.zadd(stand.key("ring", queue="q"), {"t": 0})
    stand.client.hincrby(stand.key("queue", queue="q"), "waiting", 1)
    assert hand.ids() == []
    assert stand.count() == (0, 0, 1, 0)
    assert stand.client.hget(stand.key("leased"), "t") == b"1"
    assert hand.end(message) == "committed"
    assert stand.count() == (0, 0, 0, 0)
    audit(stand)


def test_a_consumer_that_nobody_knows_is_refused(stand: Stand) -> None:
    import pytest

    from engine.errors import ScriptRefused

    stand.send()
    with pytest.raises(ScriptRefused, match="GONE"):
        Hand(stand, "stranger", ["q"]).fetch()


def test_tokens_rise_over_all_consumers(stand: Stand) -> None:
    one_hand, other = stand.hand("c1"), stand.hand("c2")
    stand.send(4)
    tokens = [d.token for h in (one_hand, other, one_hand, other) for d in h.fetch(1).deliveries]
    assert tokens == sorted(set(tokens))


def test_an_empty_fetch_says_when_the_next_message_falls_due(stand: Stand, hand: Hand) -> None:
    assert hand.fetch().due_in_ms == -1
    stand.send(delay_ms=5_000)
    assert 4_000 < hand.fetch().due_in_ms <= 5_000


def test_an_empty_fetch_says_when_the_next_rate_token_falls_due(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", _limits(max_per_minute=1))
    stand.send(2)
    hand.fetch()
    assert 59_000 < hand.fetch().due_in_ms <= 60_000


def test_more_than_a_batch_leaves_a_signal_for_the_next(stand: Stand, hand: Hand) -> None:
    stand.send(3)
    stand.woken()
    batch = hand.fetch(2)
    assert batch.more
    assert stand.woken()


def test_an_emptied_queue_leaves_no_signal(stand: Stand, hand: Hand) -> None:
    stand.send(2)
    batch = hand.fetch(10)
    assert not batch.more
    assert not stand.woken()


def test_equal_due_times_are_promoted_in_bounded_slices(stand: Stand, hand: Hand) -> None:
    sent = stand.send(250, delay_ms=1000)
    stand.advance(1_001)
    batch = hand.fetch(10)
    assert stand.count() == (190, 50, 10, 0)
    assert batch.more or batch.due_in_ms == 0
    audit(stand)
    rest = [*hand.ids(128), *hand.ids(128)]
    assert {*(d.id for d in batch.deliveries), *rest} == set(sent)


def test_any_consumer_promotes_the_messages_of_any_queue(stand: Stand) -> None:
    hand = stand.hand(queues=["other"])
    stand.send(delay_ms=1000)
    stand.advance(1_001)
    stand.woken()
    hand.fetch()
    assert stand.count() == (1, 0, 0, 0)
    assert stand.woken()


def test_a_message_of_a_cancelled_run_is_dropped(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    stand.store.runs.cancel(run)
    assert hand.ids() == []
    assert stand.count() == (0, 0, 0, 0)
    audit(stand)


def test_a_dropped_message_does_not_keep_its_tenants_slot(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", _limits(max_concurrent=1))
    run = stand.start()
    [live] = stand.send()
    stand.store.runs.cancel(run)
    stand.woken()
    batch = hand.fetch()
    got = [d.id for d in batch.deliveries]
    audit(stand)
    if not got:
        assert batch.more
        assert stand.woken()
        got = hand.ids()
    assert got == [live]


def test_a_dropped_message_does_not_hold_its_tenant_back_in_another_queue(stand: Stand) -> None:
    hand = stand.hand(queues=["q", "p"])
    stand.store.queues.limit("t", _limits(max_concurrent=1))
    run = stand.start([one("0")])
    [other] = stand.send(queue="p")
    stand.store.runs.cancel(run)
    assert hand.ids() == []
    assert hand.ids() == [other]
    audit(stand)


def test_a_dropped_message_does_not_use_up_its_tenants_rate(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", _limits(max_per_minute=1))
    run = stand.start()
    [live] = stand.send()
    stand.store.runs.cancel(run)
    assert [*hand.ids(), *hand.ids()] == [live]


def test_a_dropped_message_does_not_fill_its_queue(stand: Stand) -> None:
    hand = stand.hand(q=1)
    run = stand.start()
    [live] = stand.send()
    stand.store.runs.cancel(run)
    batch = hand.fetch()
    assert batch.more
    assert stand.woken()
    assert hand.ids() == [live]


def test_a_thousand_throttled_tenants_before_a_runnable_one_only_take_more_fetches(
    stand: Stand,
) -> None:
    hand = stand.hand(q=5)
    stand.store.queues.limit("*", _limits(paused=True))
    stand.store.queues.limit("free", _limits())
    for i in range(1, 700):
        stand.send(tenant=f"t{i}")
    [message] = stand.send(tenant="free")
    first = hand.fetch(10)
    assert first.more
    got = [d.id for d in first.deliveries] + [
        d.id for _ in range(3) for d in hand.fetch(10).deliveries
    ]
    assert got == [message]


def test_a_broken_tenant_hurts_itself_alone(stand: Stand, hand: Hand) -> None:
    stand.send(tenant="well")
    stand.send(tenant="sick")
    name = stand.key("waiting", queue="q", tenant="sick")
    stand.client.delete(name)
    stand.client.set(name, "broken")
    assert [d.tenant for d in hand.fetch().deliveries] == ["well"]


def test_a_broken_tenant_with_due_messages_hurts_itself_alone(stand: Stand, hand: Hand) -> None:
    stand.send(2, tenant="sick", delay_ms=500)
    [well] = stand.send(tenant="well", delay_ms=1000)
    stand.client.set(stand.key("waiting", queue="q", tenant="sick"), "broken")
    stand.advance(1_001)
    assert hand.ids() == [well]
    stand.client.delete(stand.key("waiting", queue="q", tenant="sick"))
    stand.advance(61_000)
    assert len(hand.ids()) == 2
    audit(stand)


def test_a_broken_queue_does_not_stop_the_due_messages_of_others(stand: Stand, hand: Hand) -> None:
    stand.send(queue="sick", delay_ms=500)
    [well] = stand.send(delay_ms=1000)
    stand.client.delete(stand.key("ring", queue="sick"))
    stand.client.set(stand.key("ring", queue="sick"), "broken")
    stand.advance(1_001)
    assert hand.ids() == [well]


def test_a_delayed_start_runs_when_it_falls_due(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0")], delay_ms=1000)
    assert hand.ids() == []
    stand.advance(1_001)
    assert hand.ids() == [f"{run}:0"]


def _limits(**values: object):
    from engine.store.queues import Limits

    return Limits(**values)  # type: ignore[arg-type]


def test_a_share_below_nothing_is_all_that_its_queue_gives(stand: Stand) -> None:
    hand = stand.hand(queues=["q", "other"])
    stand.send(5)
    stand.send(2, queue="other")
    batch = hand.fetch(10, shares=[("q", -2), ("other", 1)])
    assert [d.queue for d in batch.deliveries] == ["q", "q", "other", "other"]
    assert batch.more
    assert stand.woken()
    audit(stand)
