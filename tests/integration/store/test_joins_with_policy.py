"""Joins that go on without all their members: races, quorums, and what becomes of the losers."""

from __future__ import annotations

import pytest

from tests.integration.store.audit import audit, strays
from tests.integration.store.branching import at, die_of, fatal, lost, quorum, race, undo, value_of
from tests.integration.store.stand import Hand, Stand, arrive, each, end, one


def ended_clean(stand: Stand) -> None:
    """The books are right, no key lives too long, and no run is held but a failed one."""
    audit(stand)
    assert strays(stand) == []
    held = [run.decode() for run in stand.client.hkeys(stand.key("held"))]
    assert [run for run in held if stand.state(run) != "failed"] == []


def test_the_first_of_a_race_goes_on_by_itself_and_the_other_is_dropped_at_fetch(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start(race("1", "2", join="3", then="4"))
    [first] = hand.fetch(1).deliveries
    assert hand.end(first, edges=[arrive("3", 0, b'"won"')]) == "committed"
    [successor] = hand.fetch().deliveries
    assert (successor.id, successor.kind, value_of(successor)) == (f"{run}:4", "s", b'"won"')
    assert stand.count() == (0, 0, 1, 0)
    assert not stand.client.exists(stand.key("join", run=run, position="3"))
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"
    ended_clean(stand)


@pytest.mark.parametrize("verb", ["done", "dead", "retry", "snooze", "release"])
def test_a_losers_late_commit_is_refused_and_leads_nowhere(
    stand: Stand, hand: Hand, verb: str
) -> None:
    run = stand.start(race("1", "2", join="3", then="4"))
    held = at(hand)
    hand.end(held["1"], edges=[arrive("3", 0)])
    edges = [one("2.9")] if verb == "done" else ()
    assert hand.end(held["2"], verb, edges=edges) == "refused:scope_closed"
    assert stand.state(run) == "running"
    assert hand.ids() == [f"{run}:4"]
    assert stand.store.letters.newest("q") == []
    audit(stand)


def test_a_loser_that_ends_in_the_winners_group_is_refused_too(stand: Stand, hand: Hand) -> None:
    run = stand.start(race("1", "2", join="3", then="4"))
    held = at(hand)
    verdicts = hand.commit(
        hand.ending(held["1"], edges=[arrive("3", 0, b"1")]),
        hand.ending(held["2"], edges=[arrive("3", 1, b"2")]),
    )
    assert verdicts == ["committed", "refused:scope_closed"]
    [successor] = hand.fetch().deliveries
    assert value_of(successor) == b"1"
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"
    ended_clean(stand)


def test_a_race_that_is_won_where_the_run_ends_in_the_same_group_leaves_no_mark(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([*race("1", "2", join="3", then="4"), one("9")])
    held = at(hand)
    hand.commit(
        hand.ending(held["1"], edges=[arrive("3", 0)]), hand.ending(held["9"], edges=[end()])
    )
    assert stand.state(run) == "completed"
    assert hand.ids() == []
    assert hand.end(held["2"]) == "refused:run_completed"
    ended_clean(stand)


def test_a_loser_that_kills_its_process_does_not_fail_the_run(stand: Stand, hand: Hand) -> None:
    run = stand.start([quorum("3", 2, 1, "4", (0, 3), bare=True), one("1"), fatal("2")])
    held = at(hand)
    die_of(stand, hand, meanwhile=lambda: hand.end(held["1"], edges=[arrive("3", 0)]))
    assert stand.state(run) == "running"
    assert stand.store.letters.newest("fatal") == [f"{run}:2"]
    assert hand.ids() == [f"{run}:4"]
    audit(stand)


def test_a_quorum_goes_on_with_nulls_for_those_that_did_not_count(stand: Stand, hand: Hand) -> None:
    run = stand.start(race("1", "2", "3", "4", join="5", then="6", need=2, bare=False))
    held = at(hand)
    hand.end(held["3"], edges=[arrive("5", 2, b"c")])
    assert hand.end(held["1"], "caught", edges=[lost("5", 0)]) == "committed"
    assert hand.ids() == []
    hand.end(held["4"], edges=[arrive("5", 3, b"d")])
    [successor] = hand.fetch().deliveries
    assert (successor.id, successor.kind) == (f"{run}:6", "j")
    assert successor.inputs == [b"null", b"null", b"c", b"d"]
    assert hand.end(held["2"], edges=[arrive("5", 1, b"b")]) == "refused:scope_closed"
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"
    assert not stand.client.exists(stand.key("join", run=run, position="5"))
    ended_clean(stand)


def test_late_arrivals_at_a_join_that_has_fired_change_nothing(stand: Stand, hand: Hand) -> None:
    run = stand.start([*race("1", "2", join="3", then="4", bare=False), one("9")])
    held = at(hand)
    hand.end(held["1"], edges=[arrive("3", 0, b"a")])
    name = stand.key("join", run=run, position="3")
    before = stand.client.hgetall(name)
    # From outside the scope, as a stage before the last deploy might.
    assert hand.end(held["9"], edges=[arrive("3", 1, b"b"), lost("3", 1)]) == "committed"
    assert stand.client.hgetall(name) == before
    assert hand.ids() == [f"{run}:4"]
    audit(stand)


def test_a_quorum_that_cannot_be_reached_fails_once(stand: Stand, hand: Hand) -> None:
    run = stand.start(race("1", "2", "3", join="4", then="5", need=2))
    held = at(hand)
    hand.end(held["1"], "caught", edges=[lost("4", 0)])
    assert hand.ids() == []
    hand.end(held["2"], "caught", edges=[lost("4", 1)])
    assert hand.ids() == [f"{run}:4"]
    assert hand.end(held["3"], edges=[arrive("4", 2)]) == "refused:scope_closed"
    assert hand.end(f"{run}:4", "dead", reason="quorum_missed") == "committed"
    assert stand.state(run) == "failed"
    assert [fact["stage"] for fact in stand.events("stage.caught")] == ["stage", "stage"]
    ended_clean(stand)


def test_a_quorum_whose_members_all_end_in_one_group_fails_once(stand: Stand, hand: Hand) -> None:
    run = stand.start(race("1", "2", "3", join="4", then="5", need=2))
    held = at(hand)
    verdicts = hand.commit(
        *(
            hand.ending(held[position], "caught", edges=[lost("4", member)])
            for member, position in enumerate(("1", "2", "3"))
        )
    )
    assert verdicts == ["committed", "committed", "refused:scope_closed"]
    assert hand.ids() == [f"{run}:4"]
    audit(stand)


def test_a_dead_member_that_arrives_twice_counts_once(stand: Stand, hand: Hand) -> None:
    stand.start(race("1", "2", "3", join="4", then="5", need=2))
    held = at(hand)
    hand.end(held["1"], "caught", edges=[lost("4", 0), lost("4", 0)])
    assert hand.ids() == []
    hand.end(held["2"], edges=[arrive("4", 1)])
    hand.end(held["3"], edges=[arrive("4", 2, b"c")])
    assert value_of(hand.fetch().deliveries[0]) == b"c"


def test_a_closed_scope_keeps_the_other_items_of_an_each_alive(stand: Stand, hand: Hand) -> None:
    """Item 1 is won; item 10, whose index begins like it, and item 2 go on."""
    run = stand.start([each("0", [b"x"] * 11, 11, "9")])
    for number, delivery in enumerate(hand.fetch(20).deliveries):
        scope = f"5.{number}"
        hand.end(delivery, edges=race(f"2.{number}", f"3.{number}", join=scope, then=f"6.{number}"))
    held = at(hand, 30)
    assert len(held) == 22
    hand.end(held["2.1"], edges=[arrive("5.1", 0)])
    assert hand.end(held["3.1"], edges=[arrive("5.1", 1)]) == "refused:scope_closed"
    for position, edges in (("3.10", [one("4.10")]), ("3.2", [one("4.2")])):
        assert hand.end(held[position], edges=edges) == "committed"
    assert sorted(hand.ids()) == sorted([f"{run}:6.1", f"{run}:4.10", f"{run}:4.2"])
    audit(stand)


def test_a_closed_scope_reaches_the_items_and_rounds_inside_it(stand: Stand, hand: Hand) -> None:
    stand.start([quorum("9.4", 2, 1, "10.4", (1, 9)), one("2.4"), one("5.4.0"), one("5.4.0.7")])
    held = at(hand)
    hand.end(held["2.4"], edges=[arrive("9.4", 0)])
    for inside in ("5.4.0", "5.4.0.7"):
        assert hand.end(held[inside]) == "refused:scope_closed"
    audit(stand)


def test_races_in_many_items_leave_one_short_mark(stand: Stand, hand: Hand) -> None:
    run = stand.start([each("0", [b"x"] * 50, 50, "9")])
    for number, delivery in enumerate(hand.fetch(50).deliveries):
        edges = race(f"2.{number}", f"3.{number}", join=f"5.{number}", then=f"6.{number}")
        hand.end(delivery, edges=edges)
    for position, delivery in at(hand, 100).items():
        if position.startswith("2."):
            hand.end(delivery, edges=[arrive(f"5.{position[2:]}", 0)])
    assert stand.client.hget(stand.key("held"), run) == b";1-5"
    assert stand.client.scard(stand.key("scopes", run=run)) == 50
    assert {hand.end(d) for p, d in at(hand, 200).items() if p.startswith("3.")} == {
        "refused:scope_closed"
    }


def test_a_scope_stays_closed_in_a_failed_run_and_through_its_redrive(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([*race("1", "2", join="3", then="4"), one("9")])
    held = at(hand)
    hand.end(held["1"], edges=[arrive("3", 0)])
    hand.end(held["9"], "dead")
    assert stand.state(run) == "failed"
    assert stand.client.hkeys(stand.key("held")) == [run.encode()]
    assert strays(stand) == []
    assert stand.store.letters.redrive(f"{run}:9") == "redriven"
    assert strays(stand) == []
    assert sorted(hand.ids()) == [f"{run}:4", f"{run}:9"]
    assert hand.end(held["2"], edges=[arrive("3", 1)]) == "refused:scope_closed"
    hand.end(f"{run}:9")
    hand.end(f"{run}:4", edges=[end()])
    assert stand.state(run) == "completed"
    ended_clean(stand)


def test_a_race_that_is_won_after_the_run_has_failed_closes_its_scope_too(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([*race("1", "2", join="3", then="4"), one("9")])
    held = at(hand)
    hand.end(held["9"], "dead")
    hand.end(held["1"], edges=[arrive("3", 0)])
    ended_clean(stand)
    assert hand.end(held["2"], edges=[arrive("3", 1)]) == "refused:scope_closed"
    stand.store.letters.redrive(f"{run}:9")
    assert sorted(hand.ids()) == [f"{run}:4", f"{run}:9"]
    audit(stand)


def test_the_marks_of_a_failed_run_go_with_it(stand: Stand, hand: Hand) -> None:
    run = stand.start([*race("1", "2", join="3", then="4"), one("9")])
    held = at(hand)
    hand.end(held["1"], edges=[arrive("3", 0)])
    hand.end(held["9"], "dead")
    stand.client.delete(stand.key("run", run=run))  # as its retention does
    stand.store.runs.prune(started_before_ms=stand.now_ms() + 1, cancelled_before_ms=0)
    assert not stand.client.exists(stand.key("held"))


def test_what_a_loser_has_done_is_undone_with_the_rest(stand: Stand, hand: Hand) -> None:
    run = stand.start(race("1", "2", join="3", then="4"))
    held = at(hand)
    hand.end(held["1"], edges=[arrive("3", 0), undo("1")])
    verdict = hand.end(held["2"], edges=[arrive("3", 1), undo("2")])
    assert verdict == "refused:scope_closed"
    [successor] = hand.fetch().deliveries
    hand.end(successor, "dead")
    for position in ("~2", "~1"):
        [delivery] = hand.fetch().deliveries
        assert (delivery.id, delivery.kind) == (f"{run}:{position}", "u")
        hand.end(delivery)
    assert stand.state(run) == "failed"
    ended_clean(stand)
