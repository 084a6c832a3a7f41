"""Edges: joins that wait for every member, and eaches that keep to their window."""

from __future__ import annotations

from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand, arrive, each, end, fork, join, one

# -- joins


def test_a_join_waits_for_every_member_and_hands_their_results_on_in_order(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start(fork("0", "1", "2", then="3"))
    deliveries = {d.id[33:]: d for d in hand.fetch().deliveries}
    for position, member in (("2", 2), ("0", 0)):
        hand.end(deliveries[position], edges=[arrive("3", member, f"r{member}".encode())])
        assert hand.ids() == []
    hand.end(deliveries["1"], edges=[arrive("3", 1, b"r1")])
    [successor] = hand.fetch().deliveries
    assert (successor.id, successor.kind) == (f"{run}:3", "j")
    assert (successor.body, successor.inputs) == (b"{}", [b"r0", b"r1", b"r2"])
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"
    assert not stand.client.exists(stand.key("join", run=run, position="3"))
    audit(stand)


def test_two_members_of_a_join_arrive_in_one_group(stand: Stand, hand: Hand) -> None:
    stand.start(fork("0", "1", then="2"))
    first, second = hand.fetch().deliveries
    hand.commit(
        hand.ending(first, edges=[arrive("2", 0, b"a")]),
        hand.ending(second, edges=[arrive("2", 1, b"b")]),
    )
    assert hand.fetch().deliveries[0].inputs == [b"a", b"b"]
    audit(stand)


def test_a_member_that_arrives_twice_counts_once(stand: Stand, hand: Hand) -> None:
    stand.start(fork("0", "1", then="2"))
    first, second = hand.fetch().deliveries
    hand.commit(hand.ending(first, edges=[arrive("2", 0, b"a"), arrive("2", 0, b"x")]))
    assert hand.ids() == []
    hand.commit(hand.ending(second, edges=[arrive("2", 0, b"y"), arrive("2", 1, b"b")]))
    assert hand.fetch().deliveries[0].inputs == [b"a", b"b"]


def test_a_join_opened_again_keeps_its_members(stand: Stand, hand: Hand) -> None:
    stand.start(fork("0", "1", then="2"))
    first, second = hand.fetch().deliveries
    hand.end(first, edges=[arrive("2", 0, b"a")])
    hand.end(second, edges=[join("2", 2), arrive("2", 1, b"b")])
    assert hand.fetch().deliveries[0].inputs == [b"a", b"b"]


def test_an_arrival_at_a_join_that_is_gone_changes_nothing(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    assert hand.end(hand.fetch().deliveries[0], edges=[arrive("9", 0)]) == "committed"
    assert not stand.client.exists(stand.key("join", run=run, position="9"))


def test_a_join_of_thousands_has_its_results_read_slice_by_slice(stand: Stand, hand: Hand) -> None:
    members = 1_500
    run = stand.start([join("9", members), one("0")])
    for first in range(0, members, 500):
        [delivery] = hand.fetch().deliveries
        edges = [arrive("9", i, str(i).encode()) for i in range(first, first + 500)]
        more = [] if first + 500 == members else [one(f"0.{first}")]
        hand.end(delivery, edges=[*edges, *more])
    [successor] = hand.fetch().deliveries
    assert (successor.inputs, successor.results) == (None, ("9", members))
    assert stand.store.runs.results(run, "9", members) == [str(i).encode() for i in range(members)]
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"


def test_one_fetch_brings_a_thousand_results_of_joins_at_most(stand: Stand, hand: Hand) -> None:
    members = 400
    for _ in range(4):
        stand.start([join("9", members), one("0")])
    for delivery in hand.fetch(4).deliveries:
        hand.end(delivery, edges=[arrive("9", i, b"1") for i in range(members)])
    successors = hand.fetch(4).deliveries
    brought = [len(successor.inputs or ()) for successor in successors]
    assert brought == [members, members, 0, 0]
    assert [s.results for s in successors] == [None, None, ("9", members), ("9", members)]


def test_a_joins_inputs_survive_a_retry_of_its_successor(stand: Stand, hand: Hand) -> None:
    stand.start(fork("0", "1", then="2"))
    first, second = hand.fetch().deliveries
    hand.end(first, edges=[arrive("2", 0, b"a")])
    hand.end(second, edges=[arrive("2", 1, b"b")])
    hand.end(hand.fetch().deliveries[0], "retry", delay_ms=1)
    stand.advance(2)
    again = hand.fetch().deliveries[0]
    assert (again.kind, again.attempt, again.inputs) == ("j", 2, [b"a", b"b"])


# -- each


def test_an_each_keeps_to_its_window_and_hands_every_result_on(stand: Stand, hand: Hand) -> None:
    items = [f"i{n}".encode() for n in range(7)]
    run = stand.start([each("0", items, 3, "1")])
    seen = []
    for _ in range(7):
        batch = hand.fetch(10)
        assert len(hand.held) <= 3
        seen += [(d.id, d.kind, d.inputs) for d in batch.deliveries]
        delivery = next(iter(hand.held.values()))
        number = int(delivery.id.rpartition(".")[2])
        hand.end(delivery, edges=[arrive("1", number, f"r{number}".encode())])
    assert seen == [(f"{run}:0.{n}", "e", [b"{}", items[n]]) for n in range(7)]
    [successor] = hand.fetch().deliveries
    assert successor.inputs == [f"r{n}".encode() for n in range(7)]
    assert not stand.client.exists(stand.key("each", run=run, position="0"))
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"
    audit(stand)


def test_an_items_input_is_let_go_when_it_is_done(stand: Stand, hand: Hand) -> None:
    run = stand.start([each("0", [b"a", b"b", b"c"], 2, "1")])
    [first, _] = hand.fetch().deliveries
    hand.end(first, edges=[arrive("1", 0)])
    fields = stand.client.hkeys(stand.key("each", run=run, position="0"))
    assert b"0" not in fields
    assert b"1" in fields


def test_a_window_wider_than_the_list_opens_every_item(stand: Stand, hand: Hand) -> None:
    stand.start([each("0", [b"a", b"b"], 50, "1")])
    assert len(hand.ids()) == 2
    audit(stand)


def test_a_whole_window_may_end_in_one_group(stand: Stand, hand: Hand) -> None:
    stand.start([each("0", [b"x"] * 10, 5, "1")])
    for _ in range(2):
        batch = hand.fetch(10).deliveries
        assert len(batch) == 5
        hand.commit(
            *(hand.ending(d, edges=[arrive("1", int(d.id.rpartition(".")[2]))]) for d in batch)
        )
    assert hand.fetch().deliveries[0].kind == "j"
    audit(stand)


def test_an_each_inside_an_each_keeps_its_items_apart(stand: Stand, hand: Hand) -> None:
    run = stand.start([each("0", [b"a", b"b"], 2, "9")])
    outer = hand.fetch().deliveries
    for number, delivery in enumerate(outer):
        items = [f"{number}{i}".encode() for i in range(2)]
        hand.end(delivery, edges=[each(f"1.{number}", items, 2, f"2.{number}")])
    inner = hand.fetch().deliveries
    assert sorted(d.id[33:] for d in inner) == ["1.0.0", "1.0.1", "1.1.0", "1.1.1"]
    for delivery in inner:
        _, number, i = delivery.id[33:].split(".")
        assert delivery.inputs[1] == f"{number}{i}".encode()
        hand.end(delivery, edges=[arrive(f"2.{number}", int(i), delivery.inputs[1])])
    for delivery in hand.fetch().deliveries:
        number = delivery.id.rpartition(".")[2]
        hand.end(delivery, edges=[arrive("9", int(number), b"[]")])
    [last] = hand.fetch().deliveries
    hand.end(last, edges=[end()])
    assert stand.state(run) == "completed"
    audit(stand)
