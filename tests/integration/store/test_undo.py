"""Undo: a run that fails, or is cancelled so, takes back what it did, the last thing first."""

from __future__ import annotations

import pytest

from engine.store.entries import text
from tests.integration.store.audit import audit, strays
from tests.integration.store.branching import at, die_of, fatal, undo
from tests.integration.store.stand import Edge, Hand, Stand, arrive, end, fork, join, one


def did(stand: Stand, hand: Hand, number: int = 3) -> str:
    """A run that has completed stages 0, 1, ... which can be undone; the next one is leased."""
    run = stand.start()
    for position in range(number):
        hand.fetch()
        edges = [one(str(position + 1)), undo(str(position))]
        assert hand.end(f"{run}:{position}", edges=edges) == "committed"
    hand.fetch()
    return run


def undone(stand: Stand, hand: Hand, run: str, *positions: str, ends: str = "failed") -> None:
    """These are undone one after the other, then the run ends and leaves nothing."""
    for position in positions:
        assert stand.state(run) == "undoing"
        assert strays(stand) == []
        audit(stand)
        [delivery] = hand.fetch().deliveries
        assert (delivery.id, delivery.kind) == (f"{run}:{position}", "u")
        assert hand.end(delivery) == "committed"
    over(stand, hand, run, ends)


def over(stand: Stand, hand: Hand, run: str, ends: str = "failed") -> None:
    assert stand.state(run) == ends
    assert hand.ids() == []
    audit(stand)
    assert strays(stand) == []
    assert not stand.client.exists(stand.key("undo", run=run))


def test_a_failed_run_undoes_its_stages_in_reverse(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand)
    hand.end(f"{run}:3", "dead")
    undone(stand, hand, run, "~2", "~1", "~0")
    assert [fact["event"] for fact in stand.events() if fact["event"].startswith("run.")] == [
        "run.started", "run.undoing", "run.failed",
    ]  # fmt: skip
    stages = {stage.position: stage.state for stage in stand.store.runs.read(run).stages}
    assert stages == {
        "0": "done", "1": "done", "2": "done", "3": "dead",
        "~0": "undone", "~1": "undone", "~2": "undone",
    }  # fmt: skip


def test_a_waiter_is_woken_when_the_undoing_is_over(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand, 1)
    hand.end(f"{run}:1", "dead")
    assert stand.link.call("wait", [run, "w", 60_000])[0] == b"undoing"
    undone(stand, hand, run, "~0")
    assert stand.client.lpop(stand.key("waiter", waiter="w")) == run.encode()


def test_what_is_done_in_the_group_of_a_death_is_undone_in_its_order(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1"), one("2"), one("3")])
    held = at(hand)
    hand.end(held["0"], edges=[undo("0")])
    hand.commit(
        hand.ending(held["1"], edges=[undo("1")]),
        hand.ending(held["2"], edges=[undo("2")]),
        hand.ending(held["3"], "dead"),
    )
    undone(stand, hand, run, "~2", "~1", "~0")


def test_what_is_done_behind_the_death_in_its_group_is_undone_next(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand)
    hand.end(held["0"], edges=[undo("0")])
    hand.commit(hand.ending(held["1"], "dead"), hand.ending(held["2"], edges=[undo("2")]))
    undone(stand, hand, run, "~0", "~2")


def test_a_branch_that_completes_while_the_run_is_undone_is_undone_too_and_leads_nowhere(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand)
    hand.end(held["0"], edges=[undo("0")])
    hand.end(held["1"], "dead")
    assert hand.end(held["2"], edges=[one("3"), undo("2")]) == "committed"
    undone(stand, hand, run, "~0", "~2")


def test_a_branch_that_completes_after_the_run_was_undone_is_undone_at_once(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand)
    hand.end(held["0"], edges=[undo("0")])
    hand.end(held["1"], "dead")
    hand.end(hand.held[f"{run}:~0"] if hand.fetch() else "")
    assert stand.state(run) == "failed"
    assert hand.end(held["2"], edges=[one("3"), undo("2")]) == "committed"
    [delivery] = hand.fetch().deliveries
    assert (delivery.id, delivery.kind) == (f"{run}:~2", "u")
    assert hand.end(delivery) == "committed"
    over(stand, hand, run)
    assert len(stand.events("run.failed")) == 1


def test_a_branch_that_completes_in_the_group_of_the_last_undo_is_undone(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand)
    hand.end(held["0"], edges=[undo("0")])
    hand.end(held["1"], "dead")
    last = at(hand)["~0"]
    hand.commit(hand.ending(last), hand.ending(held["2"], edges=[undo("2")]))
    assert stand.state(run) == "failed"
    assert hand.ids() == [f"{run}:~2"]
    hand.end(f"{run}:~2")
    over(stand, hand, run)


def test_what_completes_after_a_failure_with_nothing_to_undo_is_undone_all_the_same(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand)
    hand.end(held["0"], "dead")
    assert stand.state(run) == "failed"
    hand.end(held["1"], edges=[one("3"), undo("1")])
    assert hand.ids() == [f"{run}:~1"]
    assert hand.end(held["2"], edges=[one("4")]) == "committed"
    hand.end(f"{run}:~1")
    over(stand, hand, run)
    assert stand.store.letters.redrive(f"{run}:0") == "undone"


def test_what_is_not_begun_when_the_undoing_begins_never_begins(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0")])
    hand.end(hand.fetch().deliveries[0], edges=[one("1"), one("2"), undo("0")])
    hand.end(hand.fetch(1).deliveries[0], "dead")
    undone(stand, hand, run, "~0")


def test_a_join_beside_what_is_undone_leads_nowhere(stand: Stand, hand: Hand) -> None:
    run = stand.start([*fork("0", "1", then="2"), one("5")])
    held = at(hand)
    hand.end(held["0"], edges=[arrive("2", 0), undo("0")])
    hand.end(held["5"], "dead")
    assert hand.end(held["1"], edges=[arrive("2", 1), undo("1")]) == "committed"
    undone(stand, hand, run, "~0", "~1")


def test_an_undo_is_tried_again_like_any_stage(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand, 2)
    hand.end(f"{run}:2", "dead")
    [delivery] = hand.fetch().deliveries
    hand.end(delivery, "retry", delay_ms=5)
    assert stand.count() == (0, 1, 0, 1)
    stand.advance(6)
    [again] = hand.fetch().deliveries
    assert (again.id, again.kind, again.attempt) == (delivery.id, "u", 2)
    hand.end(again, "release")
    undone(stand, hand, run, "~1", "~0")


def test_an_undo_that_dies_is_a_letter_and_the_others_go_on(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand)
    hand.end(f"{run}:3", "dead")
    hand.end(hand.fetch().deliveries[0], "dead")
    undone(stand, hand, run, "~1", "~0")
    assert set(stand.store.letters.newest("q")) == {f"{run}:3", f"{run}:~2"}
    stages = {stage.position: stage.state for stage in stand.store.runs.read(run).stages}
    assert stages["~2"] == "dead"


def test_only_what_undoes_can_be_redriven_in_a_run_that_was_undone(
    stand: Stand, hand: Hand
) -> None:
    run = did(stand, hand, 2)
    hand.end(f"{run}:2", "dead")
    hand.end(hand.fetch().deliveries[0], "dead")
    before = stand.dump()
    assert stand.store.letters.redrive(f"{run}:2") == "undoing"
    assert stand.store.letters.redrive(f"{run}:~1") == "undoing"
    assert stand.dump() == before
    undone(stand, hand, run, "~0")
    before = stand.dump()
    assert stand.store.letters.redrive(f"{run}:2") == "undone"
    assert stand.dump() == before
    assert stand.store.letters.redrive(f"{run}:~1") == "redriven"
    assert stand.state(run) == "failed"
    [delivery] = hand.fetch().deliveries
    assert (delivery.id, delivery.kind) == (f"{run}:~1", "u")
    assert hand.end(delivery) == "committed"
    over(stand, hand, run)


def test_an_undo_whose_process_dies_comes_back(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand, 2)
    hand.end(f"{run}:2", "dead")
    stand.hand("ghost").fetch()
    for _ in range(24):
        stand.advance(1_000)
        hand.beat()
    undone(stand, hand, run, "~1", "~0")


def test_an_undo_that_kills_its_process_is_a_letter_and_the_others_go_on(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], edges=[one("1"), undo("0")])
    edge: Edge = ("undo", "~1", "fatal", 5, 0, text(b"{}"))
    hand.end(hand.fetch().deliveries[0], edges=[one("2"), edge])
    hand.end(hand.fetch().deliveries[0], "dead")
    die_of(stand, hand)
    assert stand.store.letters.newest("fatal") == [f"{run}:~1"]
    undone(stand, hand, run, "~0")


def test_a_stage_that_kills_its_process_begins_the_undoing(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], edges=[fatal("1"), undo("0")])
    die_of(stand, hand)
    undone(stand, hand, run, "~0")


def test_a_death_while_a_run_is_undone_is_a_letter_and_no_more(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand)
    hand.end(held["0"], edges=[undo("0")])
    hand.end(held["1"], "dead")
    hand.end(held["2"], "dead")
    undone(stand, hand, run, "~0")
    assert len(stand.events("run.undoing")) == 1


def test_a_run_is_cancelled_when_what_it_did_is_undone(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand, 2)
    assert stand.store.runs.cancel(run, undo=True) == "running"
    assert stand.store.runs.cancel(run, undo=True) == "undoing"
    assert hand.end(f"{run}:2", edges=[one("3"), undo("2")]) == "committed"
    undone(stand, hand, run, "~1", "~2", "~0", ends="cancelled")


def test_a_cancelled_run_is_not_undone_unless_that_was_asked_for(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand, 2)
    stand.store.runs.cancel(run)
    assert hand.end(f"{run}:2", edges=[undo("2")]) == "refused:run_cancelled"
    assert stand.state(run) == "cancelled"
    assert hand.ids() == []
    audit(stand)
    assert strays(stand) == []


@pytest.mark.parametrize("number", [0, 1])
def test_what_completes_after_a_cancel_with_undo_is_over_is_undone_at_once(
    stand: Stand, hand: Hand, number: int
) -> None:
    run = did(stand, hand, number)
    stand.store.runs.cancel(run, undo=True)
    for position in range(number):
        hand.fetch()
        hand.end(f"{run}:~{position}")
    assert stand.state(run) == "cancelled"
    assert hand.end(f"{run}:{number}", edges=[one("9"), undo(str(number))]) == "committed"
    [delivery] = hand.fetch().deliveries
    assert (delivery.id, delivery.kind) == (f"{run}:~{number}", "u")
    assert hand.end(delivery) == "committed"
    over(stand, hand, run, "cancelled")


def test_a_completed_run_keeps_nothing_to_undo(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], edges=[end(), undo("0")])
    over(stand, hand, run, "completed")


def test_a_run_of_many_items_undoes_each_of_them(stand: Stand, hand: Hand) -> None:
    run = stand.start([join("9", 3), *(one(f"0.{item}") for item in range(3)), one("5")])
    held = at(hand)
    for item in range(3):
        hand.end(held[f"0.{item}"], edges=[arrive("9", item), undo(f"0.{item}")])
    hand.end(held["5"], "dead")
    undone(stand, hand, run, "~0.2", "~0.1", "~0.0")


def test_a_commit_of_an_undo_counts_once(stand: Stand, hand: Hand) -> None:
    run = did(stand, hand, 2)
    hand.end(f"{run}:2", "dead")
    ending = hand.ending(hand.fetch().deliveries[0])
    assert hand.commit(ending) == hand.commit(ending, again=True) == ["committed"]
    hand.commits += 1
    assert hand.commit(ending) == ["stale"]
    undone(stand, hand, run, "~0")


def test_what_cannot_be_undone_is_refused_by_a_run_that_was_cancelled_with_undo(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start()
    hand.fetch()
    stand.store.runs.cancel(run, undo=True)
    assert hand.end(f"{run}:0", edges=[one("1")]) == "refused:run_cancelled"
    over(stand, hand, run, "cancelled")


def test_the_only_letter_of_a_cancelled_run_is_redriven_without_setting_it_going(
    stand: Stand, hand: Hand
) -> None:
    run = did(stand, hand, 1)
    stand.store.runs.cancel(run, undo=True)
    hand.fetch()
    hand.end(f"{run}:~0", "dead")
    assert stand.state(run) == "cancelled"
    assert stand.store.letters.redrive(f"{run}:~0") == "redriven"
    assert stand.state(run) == "cancelled"
    assert stand.ttl("run", run=run) > 0
    hand.fetch()
    assert hand.end(f"{run}:~0") == "committed"
    over(stand, hand, run, "cancelled")
