"""Child runs: a stage's place in a parent is taken by a run of its own."""

from __future__ import annotations

import pytest

from tests.integration.store.audit import audit, strays
from tests.integration.store.branching import at, child, undo, value_of, wait
from tests.integration.store.stand import Hand, Stand, end, new_run, one


def family(
    stand: Stand, hand: Hand, *, grandchild: bool = False, beside: bool = False
) -> tuple[str, ...]:
    """Parent, child and perhaps grandchild, begun in one hop."""
    names = [new_run() for _ in range(3 if grandchild else 2)]
    inner = [child("0", [one("0")], "1", names[2])] if grandchild else [one("0")]
    names[0] = stand.start([child("0", inner, "1", names[1]), *([one("8")] if beside else [])])
    return tuple(names)


def fine(stand: Stand) -> None:
    audit(stand)
    assert strays(stand) == []


def states(stand: Stand, runs: tuple[str, ...]) -> list[str | None]:
    return [stand.state(run) for run in runs]


def test_a_child_hands_its_result_to_its_parent(stand: Stand, hand: Hand) -> None:
    parent, kid = family(stand, hand)
    record = stand.store.runs.read(kid)
    assert (record.pipeline, record.tenant, record.state) == ("child", "t", "running")
    assert kid in stand.store.runs.newest()
    assert stand.events("run.started")[0]["parent"] == parent
    hand.end(hand.fetch().deliveries[0], edges=[end(b'"child"')])
    [successor] = hand.fetch().deliveries
    assert (successor.id, value_of(successor)) == (f"{parent}:1", b'"child"')
    assert stand.ttl("run", run=kid) > 0
    for shape, fields in (("children", {}), ("wait", {"position": "0"})):
        assert not stand.client.exists(stand.key(shape, run=parent, **fields))
    hand.end(successor, edges=[end()])
    assert states(stand, (parent, kid)) == ["completed", "completed"]
    fine(stand)


def test_a_child_may_begin_in_the_middle_of_a_run(stand: Stand, hand: Hand) -> None:
    run = stand.start(tenant="other", keep_ms=5000)
    kid = new_run()
    hand.end(hand.fetch().deliveries[0], edges=[child("1", [one("0")], "2", kid)])
    assert stand.store.runs.read(kid).tenant == "other"
    hand.end(hand.fetch().deliveries[0], edges=[end(b"1")])
    assert 0 < stand.ttl("run", run=kid) <= 5000
    hand.end(f"{run}:2" if hand.fetch() else "", edges=[end()])
    assert stand.state(run) == "completed"
    fine(stand)


def test_a_childs_failure_is_a_message_that_dies_in_its_parent(stand: Stand, hand: Hand) -> None:
    parent, kid = family(stand, hand)
    hand.end(hand.fetch().deliveries[0], "dead")
    assert states(stand, (parent, kid)) == ["running", "failed"]
    [failing] = hand.fetch().deliveries
    assert (failing.id, failing.kind) == (f"{parent}:0", "s")
    hand.end(failing, "dead", reason="child_failed")
    assert stand.state(parent) == "failed"
    fine(stand)


def test_a_cancelled_child_fails_its_parents_place(stand: Stand, hand: Hand) -> None:
    parent, kid = family(stand, hand)
    assert stand.store.runs.cancel(kid) == "running"
    assert hand.ids() == [f"{parent}:0"]
    assert states(stand, (parent, kid)) == ["running", "cancelled"]
    fine(stand)


def test_a_cancelled_parent_takes_children_and_grandchildren_with_it(
    stand: Stand, hand: Hand
) -> None:
    runs = family(stand, hand, grandchild=True)
    assert hand.fetch(0).deliveries == []
    assert stand.store.runs.cancel(runs[0]) == "running"
    assert states(stand, runs) == ["cancelled"] * 3
    assert hand.ids() == []
    assert stand.count() == (0, 0, 0, 0)
    assert len(stand.events("run.cancelled")) == 3
    fine(stand)


def test_what_a_cancelled_child_still_ends_is_refused(stand: Stand, hand: Hand) -> None:
    runs = family(stand, hand, grandchild=True)
    hand.fetch()
    stand.store.runs.cancel(runs[0])
    assert hand.end(f"{runs[2]}:0", edges=[end()]) == "refused:run_cancelled"
    fine(stand)


def test_a_child_that_ends_after_its_parent_has_failed_is_there_for_the_redrive(
    stand: Stand, hand: Hand
) -> None:
    parent, kid = family(stand, hand, beside=True)
    hand.fetch()
    hand.end(f"{parent}:8", "dead")
    assert states(stand, (parent, kid)) == ["failed", "running"]
    fine(stand)
    hand.end(f"{kid}:0", edges=[end(b"7")])
    stand.store.letters.redrive(f"{parent}:8")
    fine(stand)
    assert sorted(hand.ids()) == [f"{parent}:1", f"{parent}:8"]
    assert value_of(hand.held[f"{parent}:1"]) == b"7"


def test_a_child_that_ends_after_the_redrive_of_its_parent_is_waited_for(
    stand: Stand, hand: Hand
) -> None:
    parent, kid = family(stand, hand, beside=True)
    hand.fetch()
    hand.end(f"{parent}:8", "dead")
    stand.store.letters.redrive(f"{parent}:8")
    fine(stand)
    hand.end(f"{kid}:0", edges=[end(b"7")])
    assert f"{parent}:1" in hand.ids()
    fine(stand)


@pytest.mark.parametrize("verb", ["done", "dead"])
def test_a_child_whose_parent_has_ended_ends_by_itself(stand: Stand, hand: Hand, verb: str) -> None:
    parent, kid = family(stand, hand, beside=True)
    hand.fetch()
    hand.end(f"{parent}:8", edges=[end()])
    hand.end(f"{kid}:0", verb, edges=[end()] if verb == "done" else ())
    assert states(stand, (parent, kid)) == [
        "completed",
        "completed" if verb == "done" else "failed",
    ]
    assert hand.ids() == []
    fine(stand)


def test_a_child_whose_parent_is_forgotten_ends_by_itself(stand: Stand, hand: Hand) -> None:
    parent, kid = family(stand, hand, beside=True)
    hand.fetch()
    hand.end(f"{parent}:8", edges=[end()])
    mine = [name for name in stand.names() if name.startswith(f"run:{parent}")]
    stand.client.delete(*(stand.keys.prefix + name for name in mine))
    hand.end(f"{kid}:0", edges=[end()])
    assert stand.state(kid) == "completed"
    assert not [name for name in stand.names() if name.startswith(f"run:{parent}")]
    fine(stand)


def test_what_a_child_brings_to_a_paused_parent_is_set_aside(stand: Stand, hand: Hand) -> None:
    parent, _kid = family(stand, hand)
    stand.store.runs.pause(parent)
    hand.end(hand.fetch().deliveries[0], edges=[end(b"1")])
    assert hand.ids() == []
    assert stand.count() == (0, 1, 0, 0)
    stand.store.runs.resume(parent)
    assert hand.ids() == [f"{parent}:1"]
    fine(stand)


def test_a_child_and_its_parents_death_in_one_group(stand: Stand, hand: Hand) -> None:
    """The parent is undone: the child that was born in the same call ends with it."""
    run = stand.start([one("0"), one("1"), one("2")])
    held, kid = at(hand), new_run()
    hand.commit(
        hand.ending(held["0"], edges=[undo("0")]),
        hand.ending(held["1"], edges=[child("3", [one("0")], "4", kid)]),
        hand.ending(held["2"], "dead"),
    )
    assert states(stand, (run, kid)) == ["undoing", "cancelled"]
    assert hand.ids() == [f"{run}:~0"]
    hand.end(f"{run}:~0")
    assert stand.state(run) == "failed"
    fine(stand)


def test_a_parent_that_is_undone_undoes_its_live_children(stand: Stand, hand: Hand) -> None:
    parent, kid = family(stand, hand, beside=True)
    hand.fetch()
    hand.end(f"{kid}:0", edges=[undo("0"), wait("1", "go", "2")][::-1])
    hand.end(f"{parent}:8", edges=[undo("8")])
    assert stand.store.runs.cancel(parent, undo=True) == "running"
    assert states(stand, (parent, kid)) == ["undoing", "undoing"]
    assert sorted(hand.ids()) == sorted([f"{kid}:~0", f"{parent}:~8"])
    hand.end(f"{parent}:~8")
    hand.end(f"{kid}:~0")
    assert states(stand, (parent, kid)) == ["cancelled", "cancelled"]
    assert hand.ids() == []
    fine(stand)


def test_a_child_and_its_end_commit_once(stand: Stand, hand: Hand) -> None:
    parent, _kid = family(stand, hand)
    ending = hand.ending(hand.fetch().deliveries[0], edges=[end(b"1")])
    assert hand.commit(ending) == hand.commit(ending, again=True) == ["committed"]
    hand.commits += 1
    assert hand.commit(ending) == ["stale"]
    assert hand.ids() == [f"{parent}:1"]
    fine(stand)


def test_a_start_with_a_child_is_repeated_without_another_child(stand: Stand, hand: Hand) -> None:
    beginning = stand.beginning([child("0", [one("0")], "1")]).packed()
    stand.store.transit.start([beginning])
    before = stand.dump()
    stand.store.transit.start([beginning])
    assert stand.dump() == before
