"""A callback answers the one wait that it is bound to, once, in whatever order things happen."""

from __future__ import annotations

from typing import Any

import pytest

from engine.store.entries import text
from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand, end, one

TIMEOUT_MS = 60_000


def wait(position: str, *, then: str, timeout_ms: int | None = None) -> tuple[Any, ...]:
    """A wait for `go`; a failure takes its successor's place with another body."""
    timer = False
    if timeout_ms is not None:
        timer = ("send", position, "q", 5, "1", text(b'{"timer":1,"input":0}'), timeout_ms, 0)
    successor = (then, "q", 5, 1, text(b'{"good":1}'))
    return ("wait", position, "go", successor, timer, (then, "q", 5, 1, text(b'{"bad":1}')))


def answer(stand: Stand, run: str, value: bytes = b"7", **options: Any) -> str | None:
    options = {"failed": False, "until_ms": 0, **options}
    return stand.store.callbacks.answer(run, "1", value, **options)


def stage_before(stand: Stand, hand: Hand) -> tuple[str, str]:
    """A run whose stage 0 is leased; its wait stands at 1."""
    run = stand.start([one("0")])
    [delivery] = hand.ids()
    return run, delivery


def waiting(stand: Stand, hand: Hand, **options: Any) -> str:
    """A run that waits at 1."""
    run, delivery = stage_before(stand, hand)
    hand.end(delivery, edges=[wait("1", then="2", **options)])
    return run


def bodies(hand: Hand) -> list[tuple[str, bytes]]:
    return [(d.id[33:], d.body) for d in hand.fetch().deliveries]


GOOD = [("2", b'{"good":1,"input":7}')]


def test_a_callback_ends_its_wait(stand: Stand, hand: Hand) -> None:
    run = waiting(stand, hand)
    assert hand.ids() == []
    assert answer(stand, run) == "delivered"
    assert bodies(hand) == GOOD
    assert not stand.client.exists(stand.key("wait", run=run, position="1"))
    assert not stand.client.exists(stand.key("waits", run=run, name="go"))
    audit(stand)


def test_a_callback_that_comes_before_its_wait_counts(stand: Stand, hand: Hand) -> None:
    run, delivery = stage_before(stand, hand)
    assert answer(stand, run) == "kept"
    hand.end(delivery, edges=[wait("1", then="2", timeout_ms=TIMEOUT_MS)])
    assert bodies(hand) == GOOD
    assert stand.count()[1] == 0, "no timer is left asleep"
    assert not stand.client.exists(stand.key("wait", run=run, position="1"))
    audit(stand)


def test_an_early_callback_and_an_early_signal_do_not_take_each_others_wait(
    stand: Stand, hand: Hand
) -> None:
    run, delivery = stage_before(stand, hand)
    assert stand.store.runs.signal(run, "go", b'"signal"') == "kept"
    assert answer(stand, run) == "kept"
    hand.end(delivery, edges=[wait("1", then="2"), wait("3", then="4")])
    assert sorted(bodies(hand)) == [*GOOD, ("4", b'{"good":1,"input":"signal"}')]


@pytest.mark.parametrize("early", [False, True])
def test_a_second_callback_is_a_repetition(stand: Stand, hand: Hand, early: bool) -> None:
    run, delivery = stage_before(stand, hand)
    edges = [wait("1", then="2")]
    if early:
        answer(stand, run)
        assert answer(stand, run, b"8") == "repeated"
        hand.end(delivery, edges=edges)
    else:
        hand.end(delivery, edges=edges)
        answer(stand, run)
    assert answer(stand, run, b"8") == "repeated"
    assert bodies(hand) == GOOD
    assert answer(stand, run, b"8") == "repeated"


@pytest.mark.parametrize("early", [False, True])
def test_a_callback_may_bring_a_failure(stand: Stand, hand: Hand, early: bool) -> None:
    run, delivery = stage_before(stand, hand)
    if early:
        assert answer(stand, run, failed=True) == "kept"
    hand.end(delivery, edges=[wait("1", then="2", timeout_ms=TIMEOUT_MS)])
    if not early:
        assert answer(stand, run, failed=True) == "delivered"
    assert bodies(hand) == [("2", b'{"bad":1,"input":7}')]
    assert answer(stand, run) == "repeated"
    assert stand.count()[1] == 0
    audit(stand)


def test_a_callback_after_the_timeout_is_late_and_not_kept(stand: Stand, hand: Hand) -> None:
    run = waiting(stand, hand, timeout_ms=TIMEOUT_MS)
    stand.advance(TIMEOUT_MS + 1)
    [timer] = hand.ids()
    hand.end(timer, edges=[one("5")])
    assert stand.state(run) == "running"
    assert answer(stand, run) == "late"
    assert [position for position, _ in bodies(hand)] == ["5"]
    assert answer(stand, run) == "late"
    audit(stand)


def test_a_callback_that_overtakes_the_timer_counts_and_the_timer_does_not(
    stand: Stand, hand: Hand
) -> None:
    run = waiting(stand, hand, timeout_ms=TIMEOUT_MS)
    stand.advance(TIMEOUT_MS + 1)
    [timer] = hand.ids()  # leased, and not yet ended
    assert answer(stand, run) == "delivered"
    assert hand.end(timer, edges=[one("5")]) == "refused:answered"
    assert bodies(hand) == GOOD
    audit(stand)


def test_a_failure_that_overtakes_the_timer_is_told_beside_it(stand: Stand, hand: Hand) -> None:
    run = waiting(stand, hand, timeout_ms=TIMEOUT_MS)
    stand.advance(TIMEOUT_MS + 1)
    [timer] = hand.ids()
    assert answer(stand, run, failed=True) == "delivered"
    assert bodies(hand) == [("2", b'{"bad":1,"input":7}')]
    assert hand.end(timer, "dead") == "refused:answered"
    assert stand.state(run) == "running"
    audit(stand)


def test_a_callback_for_a_wait_that_a_signal_ended_is_late(stand: Stand, hand: Hand) -> None:
    run = waiting(stand, hand)
    assert stand.store.runs.signal(run, "go", b"7") == "delivered"
    assert answer(stand, run) == "late"
    assert bodies(hand) == GOOD


def test_a_callback_for_a_wait_that_an_early_signal_ended_is_late(stand: Stand, hand: Hand) -> None:
    run, delivery = stage_before(stand, hand)
    stand.store.runs.signal(run, "go", b"7")
    hand.end(delivery, edges=[wait("1", then="2")])
    assert answer(stand, run) == "late"
    assert bodies(hand) == GOOD


def test_a_callback_reaches_its_own_wait_of_several_with_one_name(stand: Stand, hand: Hand) -> None:
    run, delivery = stage_before(stand, hand)
    hand.end(delivery, edges=[wait("3", then="4"), wait("1", then="2")])
    assert answer(stand, run) == "delivered"
    assert bodies(hand) == GOOD
    assert stand.store.runs.signal(run, "go", b"8") == "delivered"
    assert bodies(hand) == [("4", b'{"good":1,"input":8}')]


@pytest.mark.parametrize("early", [False, True])
def test_a_callback_whose_own_time_is_over_is_late_by_the_servers_clock(
    stand: Stand, hand: Hand, early: bool
) -> None:
    run = stage_before(stand, hand)[0] if early else waiting(stand, hand)
    until_ms = stand.now_ms() + 1_000
    stand.advance(1_001)
    assert answer(stand, run, until_ms=until_ms) == "late"
    assert answer(stand, run, until_ms=until_ms + 10_000) in ("kept", "delivered")


def test_a_run_that_has_ended_takes_no_callback(stand: Stand, hand: Hand) -> None:
    run = waiting(stand, hand)
    stand.store.runs.cancel(run)
    assert answer(stand, run) == "cancelled"
    assert answer(stand, "f" * 32) is None


def test_who_repeats_a_callback_learns_that_it_counted_though_the_run_has_ended(
    stand: Stand, hand: Hand
) -> None:
    run = waiting(stand, hand)
    answer(stand, run)
    [delivery] = hand.ids()
    hand.end(delivery, edges=[end()])
    assert stand.state(run) == "completed"
    assert answer(stand, run) == "repeated"
    assert 0 < stand.ttl("calls", run=run) <= 86_400_000


def test_a_callback_for_a_branch_that_is_closed_is_late(stand: Stand, hand: Hand) -> None:
    first = ("open", "9", 2, "10", "q", 5, 1, text(b"{}"), (1, 1, 0, 9, one("9")))
    run = stand.start([first, one("0"), one("5")])
    held = {d.id[33:]: d for d in hand.fetch().deliveries}
    hand.end(held["0"], edges=[wait("1", then="2")])
    hand.end(held["5"], edges=[("arrive", "9", "1", text(b"5"))])
    assert answer(stand, run) == "late"
    assert [position for position, _ in bodies(hand)] == ["10"]


def test_the_secret_of_a_namespace_is_made_once(stand: Stand) -> None:
    from engine.store.callbacks import Callbacks

    made = stand.store.callbacks.secret()
    assert len(made) == 32
    assert Callbacks(stand.store.links).secret() == made


def test_a_callback_is_told_as_an_event_without_what_it_brought(stand: Stand, hand: Hand) -> None:
    run = waiting(stand, hand)
    answer(stand, run, b'"a secret"')
    [told] = stand.events("run.answered")
    assert (told["run"], told["position"], told["tenant"]) == (run, "1", "t")
    assert "a secret" not in str(stand.events())
