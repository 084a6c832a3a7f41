"""A full queue refuses what is sent to it, and nothing that is under way."""

from __future__ import annotations

from typing import Any

from engine.store.entries import Claim, Full
from tests.integration.store.audit import audit
from tests.integration.store.stand import DAY_MS, Hand, Stand, each, end, fork, one

MOST = {"q": 3}


def start(stand: Stand, *edges: list[tuple[Any, ...]], **options: Any) -> list[Any]:
    packed = [stand.beginning(list(e), **options).packed() for e in edges]
    return stand.store.transit.start(packed, MOST)


def enqueue(stand: Stand, number: int, call: str = "call", **fields: Any) -> list[Any]:
    messages = [stand.message(**fields) for _ in range(number)]
    return stand.store.transit.enqueue(call, messages, MOST)


def test_a_full_queue_takes_no_message_and_nothing_changes(stand: Stand) -> None:
    assert enqueue(stand, 3, "first") == ["enqueued"] * 3
    before = stand.dump()
    assert enqueue(stand, 2, "second") == [Full("q", 3)] * 2
    assert stand.dump() == before


def test_a_full_queue_begins_no_run_and_nothing_changes(stand: Stand) -> None:
    stand.send(3)
    before = stand.dump()
    assert start(stand, [one("0")]) == [Full("q", 3)]
    assert stand.dump() == before


def test_a_bulk_is_taken_as_far_as_there_is_room_and_each_is_told(stand: Stand) -> None:
    assert enqueue(stand, 5) == ["enqueued"] * 3 + [Full("q", 3)] * 2
    assert stand.count() == (3, 0, 0, 0)
    audit(stand)


def test_runs_of_other_queues_begin_beside_those_that_are_refused(stand: Stand) -> None:
    stand.send(2)
    edges = [[one("0")], [one("0")], [one("0", "other")], [one("0")]]
    assert start(stand, *edges) == [None, Full("q", 3), None, Full("q", 3)]
    assert stand.count("other") == (1, 0, 0, 0)
    audit(stand)


def test_what_is_delayed_counts_and_what_is_leased_does_not(stand: Stand, hand: Hand) -> None:
    stand.send(1, delay_ms=60_000)
    stand.send(2)
    assert enqueue(stand, 1) == [Full("q", 3)]
    hand.fetch(1)
    assert enqueue(stand, 1) == ["enqueued"]


def test_a_repeated_call_answers_as_the_first_did(stand: Stand, hand: Hand) -> None:
    messages = [stand.message() for _ in range(5)]
    first = stand.store.transit.enqueue("call", messages, MOST)
    hand.fetch(10)
    assert stand.store.transit.enqueue("call", messages, MOST) == first


def test_a_run_that_has_begun_is_told_so_even_when_its_queue_is_full_by_now(stand: Stand) -> None:
    packed = [stand.beginning().packed()]
    assert stand.store.transit.start(packed, MOST) == [None]
    stand.send(5)
    assert stand.store.transit.start(packed, MOST) == [None]


def test_a_refused_start_claims_no_key(stand: Stand, hand: Hand) -> None:
    stand.send(3)
    claim = Claim("pipe", "digest", 0, DAY_MS)
    assert start(stand, [one("0")], claim=claim) == [Full("q", 3)]
    hand.fetch(10)
    assert start(stand, [one("0")], claim=claim) == [None]


def test_a_refused_message_claims_no_key(stand: Stand, hand: Hand) -> None:
    stand.send(3)
    assert enqueue(stand, 1, digest="k", ttl_ms=5_000) == [Full("q", 3)]
    hand.fetch(10)
    assert enqueue(stand, 1, digest="k", ttl_ms=5_000) == ["enqueued"]


def test_a_duplicate_finds_its_run_though_the_queue_is_full(stand: Stand) -> None:
    claim = Claim("pipe", "digest", 0, DAY_MS)
    first = stand.beginning(claim=claim)
    stand.store.transit.start([first.packed()])
    stand.send(5)
    assert start(stand, [one("0")], claim=claim) == [(first.run, "running")]


def test_the_first_messages_of_one_run_go_in_together(stand: Stand) -> None:
    stand.send(2)
    assert start(stand, fork("0", "1", "2", then="3")) == [None]
    assert stand.count() == (5, 0, 0, 0)
    items = [b"1", b"2"]
    assert start(stand, [each("0", items, 2, then="1")]) == [Full("q", 5)]


def test_successors_retries_returns_and_redrives_are_never_refused(stand: Stand) -> None:
    hand = stand.hand("c2")
    run = stand.start()
    [first] = hand.fetch(1).deliveries
    stand.send(5)
    assert hand.end(first, edges=[one("1")]) == "committed"
    assert stand.count()[0] == 6
    deliveries = hand.fetch(6).deliveries
    stand.send(5)
    verbs = ("retry", "snooze", "release", "dead")
    for delivery, verb in zip(deliveries, verbs, strict=False):
        assert hand.end(delivery, verb, delay_ms=10 if verb != "release" else 0) == "committed"
    [letter] = stand.store.letters.newest("q")
    assert stand.store.letters.redrive(letter) == "redriven"
    assert stand.state(run) == "running"
    audit(stand)


def test_a_run_without_messages_ends_though_a_queue_is_full(stand: Stand) -> None:
    stand.send(3)
    assert start(stand, [end(b"[]")]) == [None]
