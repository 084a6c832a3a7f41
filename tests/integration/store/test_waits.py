"""Waits, signals and timers: each wait is answered once, by the signal or by its timer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.store.audit import audit, strays
from tests.integration.store.branching import after, at, die_of, fatal, quorum, race, value_of, wait
from tests.integration.store.branching import child as child_of
from tests.integration.store.stand import Hand, Stand, arrive, end, one


def signal(stand: Stand, run: str, value: bytes = b"1", once: str | None = None) -> str | None:
    return stand.store.runs.signal(run, "go", value, once=once)


def finish(stand: Stand, hand: Hand, run: str, position: str, value: bytes, *leaves: str) -> None:
    """The run goes on at a position with this input, ends there, and leaves no more than these."""
    [delivery] = hand.fetch().deliveries
    assert (delivery.id, delivery.kind, value_of(delivery)) == (f"{run}:{position}", "s", value)
    hand.end(delivery, edges=[end()])
    assert stand.state(run) == "completed"
    assert stand.count() == (0, 0, 0, 0)
    audit(stand)
    assert strays(stand) == []
    left = {name.partition(f"run:{run}:")[2] for name in stand.names()} - {""}
    assert left <= {"open", "calls", *leaves}


# -- signals


def test_a_wait_goes_on_with_what_the_signal_carries(stand: Stand, hand: Hand) -> None:
    run = stand.start([wait("0", "go", "1")])
    assert hand.ids() == []
    stand.woken()
    assert signal(stand, run, b'{"ok":true}') == "delivered"
    assert stand.woken()
    finish(stand, hand, run, "1", b'{"ok":true}')
    assert [fact["name"] for fact in stand.events("signal.received")] == ["go"]


def test_a_signal_before_its_wait_counts(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    assert signal(stand, run, b'"early"') == "kept"
    [delivery] = hand.fetch().deliveries
    hand.end(delivery, edges=[wait("1", "go", "2", 1000)])
    assert stand.count()[1] == 0, "no timer for a wait that was answered at once"
    finish(stand, hand, run, "2", b'"early"')


def test_two_waits_are_answered_in_the_order_in_which_they_began(stand: Stand, hand: Hand) -> None:
    run = stand.start([wait("0", "go", "5"), wait("1", "go", "6"), wait("2", "other", "7")])
    assert [signal(stand, run, value) for value in (b"1", b"2", b"3")] == [
        "delivered", "delivered", "kept",
    ]  # fmt: skip
    assert {d.id[33:]: value_of(d) for d in hand.fetch().deliveries} == {"5": b"1", "6": b"2"}
    audit(stand)


def test_kept_signals_are_taken_in_the_order_in_which_they_came(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    for value in (b"1", b"2", b"3"):
        signal(stand, run, value)
    waits = [wait("1", "go", "5"), wait("2", "go", "6")]
    hand.end(hand.fetch().deliveries[0], edges=waits)
    assert {d.id[33:]: value_of(d) for d in hand.fetch().deliveries} == {"5": b"1", "6": b"2"}
    hand.end(f"{run}:5", edges=[wait("7", "go", "8")])
    assert value_of(hand.fetch().deliveries[0]) == b"3"
    assert not stand.client.exists(stand.key("signals", run=run, name="go"))
    audit(stand)


def test_a_sender_that_signals_once_may_repeat_itself(stand: Stand, hand: Hand) -> None:
    run = stand.start([wait("0", "go", "1")])
    assert signal(stand, run, b"1", "a") == "delivered"
    before = stand.dump()
    assert signal(stand, run, b"1", "a") == "repeated"
    assert stand.dump() == before
    assert signal(stand, run, b"2", "b") == "kept"
    assert signal(stand, run, b"2", "b") == "repeated"
    assert stand.client.llen(stand.key("signals", run=run, name="go")) == 1
    assert value_of(hand.fetch().deliveries[0]) == b"1"


def test_without_a_senders_id_every_call_counts(stand: Stand) -> None:
    run = stand.start()
    assert [signal(stand, run), signal(stand, run)] == ["kept", "kept"]
    assert stand.client.llen(stand.key("signals", run=run, name="go")) == 2


def test_a_full_inbox_refuses_and_changes_nothing(stand: Stand) -> None:
    run = stand.start()
    stand.client.rpush(stand.key("signals", run=run, name="go"), *range(1000))
    before = stand.dump()
    assert signal(stand, run, b"1", "a") == "full"
    assert stand.dump() == before


def test_an_inbox_that_is_full_of_one_name_takes_another(stand: Stand) -> None:
    run = stand.start()
    stand.client.rpush(stand.key("signals", run=run, name="go"), *range(1000))
    assert stand.store.runs.signal(run, "other", b"1") == "kept"


def test_a_run_that_has_ended_takes_no_signal(stand: Stand, hand: Hand) -> None:
    completed, failed, cancelled = stand.start(), stand.start(), stand.start()
    for run, verb, edges in ((completed, "done", [end()]), (failed, "dead", ())):
        assert run in hand.ids(1)[0]
        hand.end(f"{run}:0", verb, edges=edges)
    stand.store.runs.cancel(cancelled)
    before = stand.dump()
    verdicts = [signal(stand, run) for run in (completed, failed, cancelled, "f" * 32)]
    assert verdicts == ["completed", "failed", "cancelled", None]
    assert stand.dump() == before


def test_kept_signals_go_with_their_run(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    signal(stand, run)
    hand.end(hand.fetch().deliveries[0], edges=[wait("8", "other", "9"), end()])
    assert strays(stand) == []
    assert stand.ttl("signals", run=run, name="go") > 0
    assert stand.ttl("wait", run=run, position="8") > 0


def test_a_wait_that_lost_its_race_does_not_swallow_a_signal(stand: Stand, hand: Hand) -> None:
    opened, *_ = race("1", "2", join="3", then="4")
    run = stand.start([opened, wait("1", "go", "9"), one("2")])
    hand.end(hand.fetch().deliveries[0], edges=[arrive("3", 1)])
    hand.end(hand.fetch().deliveries[0], edges=[wait("5", "go", "6")])
    assert signal(stand, run, b'"mine"') == "delivered"
    finish(stand, hand, run, "6", b'"mine"', "scopes")


def test_a_signal_wins_its_race(stand: Stand, hand: Hand) -> None:
    """What follows the wait arrives at the join; the other branch is dropped with its timer."""
    opened = quorum("5", 2, 1, "6", (0, 5), bare=True)
    run = stand.start([opened, wait("1", "go", "2"), wait("3", "never", "4", 1000)])
    signal(stand, run, b"7")
    hand.end(hand.fetch().deliveries[0], edges=[arrive("5", 0, b"7")])
    stand.advance(1001)
    finish(stand, hand, run, "6", b"7", "scopes", "wait:3", "waits:never")


# -- timers


def timed(stand: Stand) -> str:
    return stand.start([wait("0", "go", "1", 1000)])


def test_a_wait_whose_time_is_over_goes_on_its_other_way(stand: Stand, hand: Hand) -> None:
    run = timed(stand)
    assert hand.fetch().due_in_ms > 0
    stand.advance(1001)
    [timer] = hand.fetch().deliveries
    assert (timer.id, timer.kind) == (f"{run}:0", "t")
    assert hand.end(timer, edges=[one("2", body=b'{"p":1,"input":0}')]) == "committed"
    assert not stand.client.exists(stand.key("wait", run=run, position="0"))
    assert not stand.client.exists(stand.key("waits", run=run, name="go"))
    assert signal(stand, run) == "kept"
    stand.client.delete(stand.key("signals", run=run, name="go"))
    finish(stand, hand, run, "2", b"0")


def test_a_wait_whose_time_is_over_fails_without_another_way(stand: Stand, hand: Hand) -> None:
    run = timed(stand)
    stand.advance(1001)
    hand.end(hand.fetch().deliveries[0], "dead", reason="wait_timed_out")
    assert stand.state(run) == "failed"
    assert stand.store.letters.read(f"{run}:0").reason == "wait_timed_out"
    assert strays(stand) == []
    audit(stand)


def test_a_wait_that_has_failed_is_open_again_after_a_redrive(stand: Stand, hand: Hand) -> None:
    run = timed(stand)
    stand.advance(1001)
    hand.end(hand.fetch().deliveries[0], "dead")
    assert stand.store.letters.redrive(f"{run}:0") == "redriven"
    assert strays(stand) == []
    [timer] = hand.fetch().deliveries
    assert signal(stand, run, b"5") == "delivered"
    assert hand.end(timer, "dead") == "refused:answered"
    finish(stand, hand, run, "1", b"5")


def test_a_redriven_timer_ends_its_wait(stand: Stand, hand: Hand) -> None:
    run = timed(stand)
    stand.advance(1001)
    hand.end(hand.fetch().deliveries[0], "dead")
    stand.store.letters.redrive(f"{run}:0")
    [timer] = hand.fetch().deliveries
    assert hand.end(timer, edges=[one("2")]) == "committed"
    assert hand.ids() == [f"{run}:2"]
    assert signal(stand, run) == "kept"
    audit(stand)


def test_an_answer_drops_the_timer(stand: Stand, hand: Hand) -> None:
    run = timed(stand)
    assert stand.count() == (0, 1, 0, 0)
    signal(stand, run, b"5")
    assert stand.count() == (1, 0, 0, 0)
    assert list(audit(stand).place) == [f"{run}:1"]
    finish(stand, hand, run, "1", b"5")


def promoted(stand: Stand, hand: Hand) -> str:
    """The timer waits in its line: nobody had room for it."""
    run = timed(stand)
    stand.advance(1001)
    hand.fetch(0)
    assert stand.count() == (1, 0, 0, 0)
    return run


def leased(stand: Stand, hand: Hand) -> str:
    run = timed(stand)
    stand.advance(1001)
    hand.fetch()
    assert stand.count() == (0, 0, 1, 0)
    return run


def tried(stand: Stand, hand: Hand) -> str:
    run = leased(stand, hand)
    hand.end(f"{run}:0", "retry", delay_ms=10)
    return run


def suspected(stand: Stand, hand: Hand) -> str:
    run = timed(stand)
    stand.advance(1001)
    hand.beat()
    stand.hand("ghost").fetch(1)
    for _ in range(12):
        stand.advance(1000)
        hand.beat()
    return run


@pytest.mark.parametrize("step", [promoted, leased, tried, suspected])
@pytest.mark.parametrize("verb", ["done", "dead", "retry", "release", "snooze", "unknown"])
def test_a_signal_before_the_timers_commit_wins_at_every_step(
    stand: Stand, hand: Hand, step: Callable[[Stand, Hand], str], verb: str
) -> None:
    run = step(stand, hand)
    assert signal(stand, run, b"5") == "delivered"
    held = at(hand)
    while verb in ("retry", "release", "snooze", "unknown") and "0" in held:
        hand.end(held["0"], verb, delay_ms=1)
        verb = "done"
        stand.advance(1001)
        held = at(hand)
    if "0" in held:
        assert hand.end(held["0"], verb, edges=[one("2")]) == "refused:answered"
    at(hand)
    assert list(at(hand)) == ["1"]
    hand.end(f"{run}:1", edges=[end()])
    assert stand.state(run) == "completed"
    assert stand.count() == (0, 0, 0, 0)
    audit(stand)
    assert strays(stand) == []


def test_a_timer_that_has_committed_wins_and_the_signal_is_kept(stand: Stand, hand: Hand) -> None:
    run = leased(stand, hand)
    assert hand.end(f"{run}:0", edges=[one("2")]) == "committed"
    assert signal(stand, run) == "kept"
    assert hand.ids() == [f"{run}:2"]
    audit(stand)


def test_a_timer_that_is_committed_twice_counts_once(stand: Stand, hand: Hand) -> None:
    run = leased(stand, hand)
    ending = hand.ending(f"{run}:0", edges=[one("2")])
    assert hand.commit(ending) == ["committed"]
    assert hand.commit(ending, again=True) == ["committed"]
    assert hand.ids() == [f"{run}:2"]


def test_a_timer_that_kills_its_process_after_the_answer_fails_nothing(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start([("wait", "0", "go", after("1"), (*fatal("0"), 1, 0))])
    stand.advance(10)
    die_of(stand, hand, meanwhile=lambda: signal(stand, run))
    assert stand.state(run) == "running"
    assert hand.ids() == [f"{run}:1"]
    audit(stand)


def test_a_timer_of_a_run_that_was_cancelled_is_dropped(stand: Stand, hand: Hand) -> None:
    run = timed(stand)
    stand.store.runs.cancel(run)
    assert strays(stand) == []
    stand.advance(1001)
    assert hand.ids() == []
    assert stand.count() == (0, 0, 0, 0)
    audit(stand)


def test_a_round_of_a_loop_waits_anew(stand: Stand, hand: Hand) -> None:
    run = stand.start([wait("1.0", "go", "2.0", 1000)])
    for number in range(3):
        assert signal(stand, run, str(number).encode()) == "delivered"
        [delivery] = hand.fetch().deliveries
        assert (delivery.id, value_of(delivery)) == (f"{run}:2.{number}", str(number).encode())
        edges = [end()] if number == 2 else [wait(f"1.{number + 1}", "go", f"2.{number + 1}", 1000)]
        hand.end(delivery, edges=edges)
    assert stand.count() == (0, 0, 0, 0)
    audit(stand)
    assert strays(stand) == []


def test_a_child_may_wait_for_a_signal_of_its_own(stand: Stand, hand: Hand) -> None:
    run = stand.start([child_of("0", [wait("0", "go", "1")], "1", "c" * 32)])
    assert signal(stand, run) == "kept"
    assert signal(stand, "c" * 32, b"2") == "delivered"
    assert value_of(hand.fetch().deliveries[0]) == b"2"
