"""Pauses: a run that is held begins nothing new; what was set aside comes back in its old order."""

from __future__ import annotations

import pytest

from engine.store.queues import Limits
from tests.integration.store.audit import audit, strays
from tests.integration.store.branching import at, die_of, fatal, race, undo, value_of, wait
from tests.integration.store.stand import DAY_MS, Hand, Stand, arrive, each, end, one


def fine(stand: Stand) -> None:
    audit(stand)
    assert strays(stand) == []


def pause(stand: Stand, run: str) -> None:
    assert stand.store.runs.pause(run) == "paused"


def resume(stand: Stand, run: str) -> None:
    assert stand.store.runs.resume(run) == "resumed"


def test_a_paused_run_begins_nothing_and_goes_on_when_it_is_resumed(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([one("0"), one("1")])
    held = at(hand, 1)
    pause(stand, run)
    assert hand.end(held["0"], edges=[one("2")]) == "committed"
    assert hand.ids() == []
    assert stand.count() == (0, 2, 0, 0)
    fine(stand)
    stand.woken()
    resume(stand, run)
    assert stand.woken()
    assert stand.count() == (2, 0, 0, 0)
    assert not stand.client.exists(stand.key("held"), stand.key("paused", run=run))
    assert hand.ids() == [f"{run}:1", f"{run}:2"]
    hand.end(f"{run}:1")
    hand.end(f"{run}:2", edges=[end()])
    assert stand.state(run) == "completed"
    fine(stand)
    told = [fact["event"] for fact in stand.events() if fact.get("run") == run]
    assert told[:3] == ["run.started", "run.paused", "stage.completed"]
    assert "run.resumed" in told


def test_what_was_set_aside_comes_back_in_its_old_order(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0"), one("1", priority=7), one("2")])
    pause(stand, run)
    assert hand.ids() == []
    other = stand.start([one("0"), one("1", priority=9)])
    resume(stand, run)
    ids = hand.ids()
    assert ids == [f"{other}:1", f"{run}:1", f"{run}:0", f"{run}:2", f"{other}:0"]
    audit(stand)


def test_other_runs_of_the_tenant_go_on(stand: Stand, hand: Hand) -> None:
    paused, other = stand.start(), stand.start()
    plain = stand.send()
    pause(stand, paused)
    assert hand.ids() == [f"{other}:0", *plain]
    fine(stand)


def test_a_run_is_paused_before_its_first_message_falls_due(stand: Stand, hand: Hand) -> None:
    run = stand.start(delay_ms=1000)
    pause(stand, run)
    stand.advance(1001)
    assert hand.ids() == []
    assert stand.count() == (0, 1, 0, 0)
    stand.advance(400 * DAY_MS)
    assert hand.ids() == []
    resume(stand, run)
    assert hand.ids() == [f"{run}:0"]
    fine(stand)


def test_what_is_resumed_before_it_falls_due_keeps_its_time(stand: Stand, hand: Hand) -> None:
    run = stand.start(delay_ms=1000)
    pause(stand, run)
    hand.fetch()
    resume(stand, run)
    assert hand.ids() == []
    stand.advance(1001)
    assert hand.ids() == [f"{run}:0"]
    fine(stand)


@pytest.mark.parametrize("verb", ["retry", "snooze", "unknown"])
def test_a_message_that_waits_for_another_try_is_set_aside_when_it_falls_due(
    stand: Stand, hand: Hand, verb: str
) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    pause(stand, run)
    assert hand.end(delivery, verb, delay_ms=10) == "committed"
    stand.advance(1001)
    assert hand.ids() == []
    fine(stand)
    resume(stand, run)
    [again] = hand.fetch().deliveries
    assert again.attempt == (2 if verb == "retry" else 1)
    hand.end(again, edges=[end()])
    fine(stand)


def test_what_was_leased_and_not_begun_is_set_aside_when_it_is_released(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    pause(stand, run)
    hand.end(delivery, "release")
    assert hand.ids() == []
    resume(stand, run)
    assert hand.ids() == [f"{run}:0"]
    fine(stand)


def test_pausing_and_resuming_twice_changes_nothing(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    assert stand.store.runs.resume(run) == "known"
    pause(stand, run)
    hand.fetch()
    before = stand.dump()
    assert stand.store.runs.pause(run) == "known"
    assert stand.dump() == before
    resume(stand, run)
    before = stand.dump()
    assert stand.store.runs.resume(run) == "known"
    assert stand.dump() == before
    fine(stand)


def test_only_a_live_run_can_be_paused(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], edges=[end()])
    before = stand.dump()
    assert stand.store.runs.pause(run) == "completed"
    assert stand.store.runs.pause("f" * 32) is None
    assert stand.store.runs.resume("f" * 32) is None
    assert stand.dump() == before


def test_a_cancel_frees_what_was_set_aside(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0"), one("1")])
    pause(stand, run)
    hand.fetch()
    assert stand.count() == (0, 2, 0, 0)
    assert stand.store.runs.cancel(run) == "running"
    assert stand.count() == (2, 0, 0, 0)
    fine(stand)
    assert hand.ids() == []
    assert stand.count() == (0, 0, 0, 0)
    assert not stand.client.exists(stand.key("held"))
    fine(stand)


def test_a_failure_frees_what_was_set_aside(stand: Stand, hand: Hand) -> None:
    """Branches beside a death go on to their join, so that a redrive has only that left."""
    run = stand.start([one("0"), one("1")])
    held = at(hand, 1)
    pause(stand, run)
    hand.fetch()
    hand.end(held["0"], "dead")
    assert stand.state(run) == "failed"
    assert stand.count() == (1, 0, 0, 1)
    assert not stand.client.exists(stand.key("held"))
    assert hand.ids() == [f"{run}:1"]
    fine(stand)
    assert stand.store.letters.redrive(f"{run}:0") == "redriven"
    assert hand.ids() == [f"{run}:0"]
    fine(stand)


def test_an_end_frees_what_was_set_aside(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0"), one("1")])
    held = at(hand, 1)
    pause(stand, run)
    hand.fetch()
    hand.end(held["0"], edges=[end()])
    assert stand.state(run) == "completed"
    assert stand.count() == (1, 0, 0, 0)
    assert not stand.client.exists(stand.key("held"))
    fine(stand)
    assert hand.end(hand.fetch().deliveries[0]) == "refused:run_completed"
    fine(stand)


@pytest.mark.parametrize("how", ["cancel", "death"])
def test_what_a_run_did_is_undone_though_it_was_paused(stand: Stand, hand: Hand, how: str) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    held = at(hand, 2)
    hand.end(held["0"], edges=[undo("0")])
    pause(stand, run)
    hand.fetch()
    assert stand.count()[1] == 1
    if how == "cancel":
        stand.store.runs.cancel(run, undo=True)
    else:
        hand.end(held["1"], "dead")
    assert stand.state(run) == "undoing"
    assert stand.count()[1] == 0
    assert f"{run}:~0" in hand.ids()
    hand.end(f"{run}:~0")
    assert stand.state(run) == ("cancelled" if how == "cancel" else "failed")
    assert stand.count()[:2] == (0, 0)
    fine(stand)


def test_an_undoing_can_be_paused(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], edges=[one("1"), undo("0")])
    hand.end(hand.fetch().deliveries[0], "dead")
    pause(stand, run)
    assert hand.ids() == []
    assert stand.count() == (0, 1, 0, 1)
    fine(stand)
    resume(stand, run)
    assert hand.ids() == [f"{run}:~0"]
    hand.end(f"{run}:~0")
    assert stand.state(run) == "failed"
    fine(stand)


def test_a_tenant_is_not_charged_for_what_is_set_aside(stand: Stand, hand: Hand) -> None:
    stand.store.queues.limit("t", Limits(max_concurrent=2, max_per_minute=3))
    paused = stand.start([one(str(number)) for number in range(5)])
    pause(stand, paused)
    other = stand.start([one("0"), one("1")])
    found: list[str] = []
    for _ in range(10):
        found += hand.ids(2)
    assert found == [f"{other}:0", f"{other}:1"]
    assert stand.client.llen(stand.key("rate", tenant="t")) == 2
    assert stand.store.queues.leased() == {"t": 2}
    assert stand.count() == (0, 5, 2, 0)
    fine(stand)
    hand.commit(*(hand.ending(message) for message in found))
    resume(stand, paused)
    assert hand.ids() == [f"{paused}:0"]
    assert stand.count() == (4, 0, 1, 0)
    audit(stand)


def test_a_signal_and_a_timer_of_a_paused_run_are_set_aside(stand: Stand, hand: Hand) -> None:
    run = stand.start([wait("0", "go", "1", 1000), wait("2", "other", "3", 1000)])
    pause(stand, run)
    stand.advance(1001)
    assert hand.ids() == []
    assert stand.count() == (0, 2, 0, 0)
    assert stand.store.runs.signal(run, "go", b"5") == "delivered"
    assert hand.ids() == []
    assert stand.count() == (0, 2, 0, 0), "the answered wait's timer is gone"
    fine(stand)
    resume(stand, run)
    held = at(hand)
    assert sorted((position, d.kind) for position, d in held.items()) == [("1", "s"), ("2", "t")]
    assert value_of(held["1"]) == b"5"
    fine(stand)


def test_items_of_an_each_come_back_with_their_inputs(stand: Stand, hand: Hand) -> None:
    run = stand.start([each("0", [b"a", b"b", b"c"], 2, "1")])
    pause(stand, run)
    assert hand.ids() == []
    resume(stand, run)
    deliveries = hand.fetch().deliveries
    assert [d.inputs[1] for d in deliveries] == [b"a", b"b"]
    hand.end(deliveries[0], edges=[arrive("1", 0)])
    fine(stand)


def test_a_suspect_that_was_set_aside_comes_back_as_a_suspect(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.beat()
    for _ in range(12):
        stand.advance(1000)
        hand.beat()
    stand.hand("ghost").fetch()
    for _ in range(12):
        stand.advance(1000)
        hand.beat()
    assert audit(stand).place == {f"{run}:0": "suspect"}
    pause(stand, run)
    assert hand.ids(idle=True) == []
    assert audit(stand).place == {f"{run}:0": "delayed"}
    resume(stand, run)
    assert audit(stand).place == {f"{run}:0": "suspect"}
    assert hand.ids(idle=True) == [f"{run}:0"]
    fine(stand)


def test_a_pause_and_a_closed_scope_do_not_disturb_each_other(stand: Stand, hand: Hand) -> None:
    run = stand.start(race("1", "2", join="3", then="4"))
    held = at(hand, 1)
    pause(stand, run)
    hand.end(held["1"], edges=[arrive("3", 0)])
    assert stand.client.hget(stand.key("held"), run) == b"p;0-3"
    assert hand.ids() == []
    resume(stand, run)
    assert stand.client.hget(stand.key("held"), run) == b";0-3"
    assert hand.ids() == [f"{run}:4"]
    pause(stand, run)
    assert stand.client.hget(stand.key("held"), run) == b"p;0-3"
    hand.end(f"{run}:4", edges=[end()])
    assert not stand.client.exists(stand.key("held"))
    fine(stand)


def test_a_broken_list_of_what_is_set_aside_loses_nothing(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    pause(stand, run)
    name = stand.key("paused", run=run)
    stand.client.set(name, "broken")
    assert hand.ids() == []
    assert stand.count() == (0, 1, 0, 0)
    stand.client.delete(name)
    resume(stand, run)
    stand.advance(60_001)
    assert hand.ids() == [f"{run}:0"]
    fine(stand)


def test_a_death_of_a_process_while_its_run_is_paused_frees_what_was_set_aside(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([fatal("0"), one("1")])

    def hold() -> None:
        pause(stand, run)
        assert hand.ids() == []

    die_of(stand, hand, meanwhile=hold)
    assert stand.state(run) == "failed"
    assert hand.ids() == [f"{run}:1"]
    fine(stand)
