"""Enqueue: plain messages on their queues, all or none, each call once."""

from __future__ import annotations

from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand


def test_a_message_waits_until_it_is_fetched(stand: Stand, hand: Hand) -> None:
    [message] = stand.send(body=b'{"a":1}')
    assert stand.count() == (1, 0, 0, 0)
    [delivery] = hand.fetch().deliveries
    assert (delivery.id, delivery.body, delivery.kind, delivery.attempt) == (
        message,
        b'{"a":1}',
        "d",
        1,
    )
    assert stand.count() == (0, 0, 1, 0)


def test_a_body_travels_byte_for_byte(stand: Stand, hand: Hand) -> None:
    body = bytes(range(256)) + b"\n" * 3
    stand.send(body=body)
    assert hand.fetch().deliveries[0].body == body


def test_many_messages_of_one_call_keep_their_order(stand: Stand, hand: Hand) -> None:
    sent = stand.send(256)
    assert hand.ids(128) + hand.ids(128) == sent
    audit(stand)


def test_a_call_that_is_repeated_changes_nothing_and_answers_the_same(stand: Stand) -> None:
    messages = [
        stand.message(),
        stand.message(delay_ms=1000),
        stand.message(digest="d", ttl_ms=5000),
    ]
    first = stand.store.transit.enqueue("call", messages)
    before = stand.dump()
    assert stand.store.transit.enqueue("call", messages) == first == ["enqueued"] * 3
    assert stand.dump() == before


def test_a_repeated_call_answers_the_same_even_when_all_its_work_is_done(
    stand: Stand, hand: Hand
) -> None:
    messages = [stand.message()]
    stand.store.transit.enqueue("call", messages)
    hand.end(hand.fetch().deliveries[0])
    assert stand.store.transit.enqueue("call", messages) == ["enqueued"]
    assert stand.count() == (0, 0, 0, 0)


def test_a_call_is_remembered_ten_minutes(stand: Stand) -> None:
    stand.store.transit.enqueue("call", [stand.message()])
    assert 590_000 < stand.ttl("call", call="call") <= 600_000


def test_a_delayed_message_waits_for_its_time(stand: Stand, hand: Hand) -> None:
    [message] = stand.send(delay_ms=5_000)
    assert stand.count() == (0, 1, 0, 0)
    assert hand.ids() == []
    stand.advance(4_000)
    assert hand.ids() == []
    stand.advance(1_001)
    assert hand.ids() == [message]
    audit(stand)


def test_a_delay_of_months_is_kept(stand: Stand, hand: Hand) -> None:
    stand.send(delay_ms=180 * 86_400_000)
    stand.advance(180 * 86_400_000 - 5_000)
    assert hand.ids() == []
    stand.advance(5_001)
    assert len(hand.ids()) == 1


def test_priorities_order_a_tenants_messages_and_equal_ones_keep_their_order(
    stand: Stand, hand: Hand
) -> None:
    sent = {(p, i): stand.send(priority=p)[0] for i in range(3) for p in (0, 5, 9, 4)}
    expected = [sent[p, i] for p in (9, 5, 4, 0) for i in range(3)]
    assert hand.ids(12) == expected


def test_places_stay_exact_far_beyond_the_messages_of_a_lifetime(stand: Stand, hand: Hand) -> None:
    stand.client.set(stand.key("order"), 9_999_999_000_000)
    sent = [stand.send(priority=p)[0] for p in (0, 0, 9, 9, 5, 5)]
    assert hand.ids() == [sent[2], sent[3], sent[4], sent[5], sent[0], sent[1]]
    for delivery in list(hand.held.values()):
        hand.end(delivery, "release")
    assert hand.ids() == [sent[2], sent[3], sent[4], sent[5], sent[0], sent[1]]


def test_work_on_an_idle_queue_signals_once(stand: Stand) -> None:
    stand.send(3)
    stand.send(3)
    assert stand.client.llen(stand.key("wake", queue="q")) == 1


def test_an_earlier_due_time_signals_and_a_later_one_does_not(stand: Stand) -> None:
    stand.send(delay_ms=10_000)
    assert stand.woken()
    stand.send(delay_ms=20_000)
    assert not stand.woken()
    stand.send(delay_ms=5_000)
    assert stand.woken()


def test_a_key_that_is_held_keeps_a_second_message_out(stand: Stand) -> None:
    first, second = stand.message(digest="k", ttl_ms=5000), stand.message(digest="k", ttl_ms=5000)
    assert stand.store.transit.enqueue("1", [first]) == ["enqueued"]
    assert stand.store.transit.enqueue("2", [second]) == [first.id]
    assert stand.count() == (1, 0, 0, 0)


def test_two_messages_with_one_key_in_one_call_are_one(stand: Stand) -> None:
    first, second = stand.message(digest="k", ttl_ms=5000), stand.message(digest="k", ttl_ms=5000)
    assert stand.store.transit.enqueue("1", [first, second]) == ["enqueued", first.id]
    audit(stand)


def test_a_key_belongs_to_its_tenant_and_queue(stand: Stand) -> None:
    keyed = {"digest": "k", "ttl_ms": 5000}
    messages = [
        stand.message("q", "a", **keyed),
        stand.message("q", "b", **keyed),
        stand.message("p", "a", **keyed),
    ]
    assert stand.store.transit.enqueue("1", messages) == ["enqueued"] * 3


def test_tenants_and_keys_with_colons_never_meet(stand: Stand) -> None:
    one = stand.message("x", "acme", digest="q:k", ttl_ms=5000)
    other = stand.message("q", "acme:x", digest="k", ttl_ms=5000)
    assert stand.store.transit.enqueue("1", [one]) == ["enqueued"]
    assert stand.store.transit.enqueue("2", [other]) == ["enqueued"]


def test_odd_but_valid_names_work_all_the_way(stand: Stand) -> None:
    tenant, queue = "a:b@c/d+e.f-g_h", "q.-_Z9"
    hand = stand.hand(queues=[queue])
    stand.store.queues.limit(tenant, None)
    stand.send(2, queue=queue, tenant=tenant, delay_ms=10)
    stand.advance(11)
    first, second = hand.fetch().deliveries
    assert (first.queue, first.tenant) == (queue, tenant)
    hand.commit(hand.ending(first, "retry", delay_ms=10), hand.ending(second, "dead"))
    audit(stand)
    assert stand.store.letters.read(second.id).tenant == tenant
