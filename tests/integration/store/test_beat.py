"""Beat: the dead are noticed, their work comes back, and the guilty alone are charged."""

from __future__ import annotations

import pytest

from engine.errors import ScriptRefused
from tests.integration.store.audit import audit, strays
from tests.integration.store.stand import Hand, Stand, end


def pass_time(stand: Stand, seconds: int, *hands: Hand) -> None:
    """Lets time pass while these beat every second."""
    for _ in range(seconds):
        stand.advance(1_000)
        for hand in hands:
            hand.beat()


def die_holding(stand: Stand, name: str, number: int = 1, *, idle: bool = True) -> list[str]:
    """A consumer that fetches and is never heard of again."""
    return stand.hand(name).ids(number, idle=idle)


@pytest.fixture
def living(stand: Stand) -> Hand:
    """A consumer whose beats have gone on for longer than a grace."""
    hand = stand.hand("living")
    hand.beat()
    pass_time(stand, 11, hand)
    return hand


def test_a_silent_consumers_leases_come_back_after_ten_seconds(stand: Stand, living: Hand) -> None:
    [message] = stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 9, living)
    assert audit(stand).place == {message: "leased by dead"}
    pass_time(stand, 2, living)
    assert audit(stand).place == {message: "suspect"}
    assert not stand.client.exists(stand.key("consumer", consumer="dead"))
    assert [c.consumer for c in stand.store.queues.consumers()] == ["living"]
    assert stand.events("consumer.lost")[0]["leases"] == "1"


def test_a_consumer_may_be_silent_for_as_long_as_it_said(stand: Stand, living: Hand) -> None:
    [message] = stand.send()
    stand.hand("patient", silence_ms=30_000).fetch()
    die_holding(stand, "usual")
    pass_time(stand, 29, living)
    assert audit(stand).place == {message: "leased by patient"}
    assert [lost["consumer"] for lost in stand.events("consumer.lost")] == ["usual"]
    pass_time(stand, 2, living)
    assert audit(stand).place == {message: "suspect"}


def test_a_beating_consumer_keeps_its_leases(stand: Stand, living: Hand) -> None:
    other = stand.hand("other")
    stand.send()
    other.fetch()
    pass_time(stand, 60, living, other)
    assert living.beat().held == 0
    assert other.beat().held == 1


def test_whoever_comes_back_late_is_told_that_it_is_gone(stand: Stand, living: Hand) -> None:
    late = stand.hand("late")
    pass_time(stand, 11, living)
    with pytest.raises(ScriptRefused, match="GONE"):
        late.beat()
    with pytest.raises(ScriptRefused, match="GONE"):
        late.fetch()


def test_a_late_commit_of_a_dead_consumer_is_stale(stand: Stand, living: Hand) -> None:
    stand.send()
    late = stand.hand("late")
    [delivery] = late.fetch().deliveries
    pass_time(stand, 11, living)
    assert late.commit(late.ending(delivery)) == ["stale"]
    audit(stand)
    assert strays(stand) == []


def test_a_silence_in_which_nobody_reaped_gives_everyone_a_fresh_start(
    stand: Stand, living: Hand
) -> None:
    stand.send()
    die_holding(stand, "quiet")
    stand.advance(3_600_000)
    living.beat()
    pass_time(stand, 9, living)
    assert stand.count() == (0, 0, 1, 0)
    pass_time(stand, 2, living)
    assert stand.count() == (1, 0, 0, 0)


def test_a_gap_of_three_seconds_is_none(stand: Stand, living: Hand) -> None:
    stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 8, living)
    stand.advance(2_900)
    living.beat()
    assert stand.count() == (1, 0, 0, 0)


def test_a_clock_that_steps_forward_kills_nobody(stand: Stand, living: Hand) -> None:
    other = stand.hand("other")
    stand.advance(3_600_000)
    living.beat()
    other.beat()
    pass_time(stand, 30, living, other)
    assert len(stand.store.queues.consumers()) == 2


def test_a_clock_that_steps_back_keeps_no_dead_consumer_alive(stand: Stand, living: Hand) -> None:
    stand.send()
    die_holding(stand, "dead")
    stand.advance(-3_600_000)
    living.beat()
    pass_time(stand, 9, living)
    assert stand.count() == (0, 0, 1, 0)
    pass_time(stand, 3, living)
    assert stand.count() == (1, 0, 0, 0)


def test_a_clock_that_steps_back_before_the_first_beat_keeps_no_dead_consumer_alive(
    stand: Stand,
) -> None:
    stand.send()
    die_holding(stand, "dead")
    living = stand.hand("living")
    stand.advance(-3_600_000)
    pass_time(stand, 13, living)
    assert [c.consumer for c in stand.store.queues.consumers()] == ["living"]
    assert stand.count() == (1, 0, 0, 0)


def test_one_call_returns_at_most_two_hundred_leases(stand: Stand, living: Hand) -> None:
    sent = stand.send(250) + stand.send(250)
    dead = stand.hand("dead")
    for _ in range(4):
        dead.fetch(128, idle=False)
    stand.hand("other")
    pass_time(stand, 10, living)
    counts = [stand.count()]
    for _ in range(3):
        living.beat()
        counts.append(stand.count())
    assert counts == [(200, 0, 300, 0), (400, 0, 100, 0), (500, 0, 0, 0), (500, 0, 0, 0)]
    assert set(audit(stand).place) == set(sent)


def test_many_processes_that_died_together_are_noticed_together(stand: Stand, living: Hand) -> None:
    stand.send(40)
    for i in range(8):
        die_holding(stand, f"dead{i}", 5)
    pass_time(stand, 11, living)
    assert stand.count() == (40, 0, 0, 0)
    assert [c.consumer for c in stand.store.queues.consumers()] == ["living"]
    audit(stand)


def test_a_suspect_runs_alone(stand: Stand, living: Hand) -> None:
    sent = stand.send(3)
    die_holding(stand, "dead", 2)
    pass_time(stand, 11, living)
    batch = living.fetch(10)
    assert batch.suspects_wait
    assert [d.id for d in batch.deliveries] == sent[:1]
    assert batch.deliveries[0].attempt == 1
    assert living.fetch(10).deliveries == []
    audit(stand)


def test_suspects_whose_runs_are_cancelled_are_dropped_on_the_way_to_the_next(
    stand: Stand, living: Hand
) -> None:
    runs = [stand.start() for _ in range(4)]
    die_holding(stand, "dead", 4)
    pass_time(stand, 11, living)
    for run in runs[:2]:
        stand.store.runs.cancel(run)
    assert living.ids() == [f"{runs[2]}:0"]
    assert set(audit(stand).place) == {f"{run}:0" for run in runs[2:]}
    living.end(living.held[f"{runs[2]}:0"], edges=[end()])
    stand.store.runs.cancel(runs[3])
    [innocent] = stand.send()
    batch = living.fetch()
    assert (batch.suspects_wait, [d.id for d in batch.deliveries]) == (False, [innocent])
    assert audit(stand).place == {innocent: "leased by living"}


def test_a_busy_consumer_empties_itself_for_a_suspect(stand: Stand, living: Hand) -> None:
    stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 11, living)
    stand.send(5)
    batch = living.fetch(5, idle=False)
    assert (batch.suspects_wait, batch.deliveries) == (True, [])
    other = stand.hand("other")
    assert len(other.fetch(2, idle=False).deliveries) == 2


def test_an_idle_consumer_takes_the_suspect_that_a_busy_one_waits_for(
    stand: Stand, living: Hand
) -> None:
    [message] = stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 11, living)
    living.fetch(5, idle=False)
    assert stand.hand("other").ids(5, idle=True) == [message]
    stand.send(2)
    assert len(living.fetch(5, idle=False).deliveries) == 2


def test_innocents_are_cleared_when_they_end_any_other_way(stand: Stand, living: Hand) -> None:
    stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 11, living)
    living.end(living.fetch(idle=True).deliveries[0], "retry", delay_ms=1)
    stand.advance(2)
    for name in ("d1", "d2", "d3"):
        assert len(die_holding(stand, name, idle=False)) == 1
        pass_time(stand, 11, living)
        [delivery] = living.fetch(idle=True).deliveries
        living.end(delivery, "snooze", delay_ms=1)
        stand.advance(2)
    assert stand.count()[3] == 0


def test_a_suspect_that_is_released_stays_a_suspect(stand: Stand, living: Hand) -> None:
    [message] = stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 11, living)
    living.end(living.fetch(idle=True).deliveries[0], "release")
    assert audit(stand).place == {message: "suspect"}


@pytest.mark.parametrize(("allowed", "lone_deaths"), [(0, 1), (1, 2), (2, 3)])
def test_guilt_is_proven_alone_and_forgiven_as_often_as_allowed(
    stand: Stand, living: Hand, allowed: int, lone_deaths: int
) -> None:
    [message] = stand.send(allowed=allowed)
    die_holding(stand, "first", idle=False)
    pass_time(stand, 11, living)
    for number in range(lone_deaths):
        assert stand.count() == (1, 0, 0, 0)
        assert die_holding(stand, f"lone{number}") == [message]
        pass_time(stand, 11, living)
    assert stand.count() == (0, 0, 0, 1)
    letter = stand.store.letters.read(message)
    assert (letter.reason, letter.attempt) == ("stalled", 1)
    assert stand.events("message.died")[0]["reason"] == "stalled"
    audit(stand)


def test_a_stalled_stage_fails_its_run(stand: Stand, living: Hand) -> None:
    edge = ("send", "0", "q", 5, 0, b"{}")
    from engine.store.entries import text

    run = stand.start([(*edge[:5], text(b"{}"))])
    die_holding(stand, "first", idle=False)
    pass_time(stand, 11, living)
    die_holding(stand, "second")
    pass_time(stand, 11, living)
    assert stand.state(run) == "failed"
    assert strays(stand) == []
    audit(stand)


def test_a_beat_tells_of_paused_queues_and_work_that_waits(stand: Stand) -> None:
    hand = stand.hand(queues=["a", "b"])
    assert hand.beat()[2:4] == (False, frozenset())
    stand.send(queue="a")
    stand.store.queues.pause("a")
    assert hand.beat()[2:4] == (False, frozenset({"a"}))
    stand.send(queue="b")
    assert hand.beat()[2:4] == (True, frozenset({"a"}))


def test_a_beat_tells_that_a_due_message_waits_to_be_promoted(stand: Stand, hand: Hand) -> None:
    stand.send(delay_ms=1000)
    assert not hand.beat().work_waits
    stand.advance(1_001)
    assert hand.beat().work_waits


def test_a_beat_tells_of_cancelled_runs_since_the_last(stand: Stand, hand: Hand) -> None:
    first, second = stand.start(), stand.start()
    stand.store.runs.cancel(first)
    pulse = hand.beat()
    assert pulse.cancelled == {first}
    stand.advance(100)
    stand.store.runs.cancel(second)
    assert hand.beat(since_ms=pulse.now_ms).cancelled == {second}


def test_an_empty_consumer_retires_and_one_with_leases_stays_for_the_reap(
    stand: Stand, hand: Hand
) -> None:
    stand.send()
    [delivery] = hand.fetch().deliveries
    assert stand.store.transit.retire("c1") == 1
    hand.end(delivery)
    assert stand.store.transit.retire("c1") == 0
    assert stand.store.queues.consumers() == []
    assert not stand.client.exists(stand.key("consumer", consumer="c1"))


def test_reconcile_gives_back_what_the_process_does_not_know_of(stand: Stand, hand: Hand) -> None:
    sent = stand.send(3)
    hand.fetch(3)
    assert sorted(hand.reconcile(sent[:1])) == sent[1:]
    assert hand.reconcile(sent[:1]) == []
    assert audit(stand).place == {sent[0]: "leased by c1", sent[1]: "waiting", sent[2]: "waiting"}
    again = stand.hand("c2").fetch().deliveries
    assert [(d.id, d.attempt) for d in again] == [(sent[1], 1), (sent[2], 1)]


def test_a_late_reconcile_leaves_alone_what_was_leased_since(stand: Stand, hand: Hand) -> None:
    unknown, known, newer = stand.send(3)
    [first, second] = (hand.fetch(1).deliveries[0] for _ in range(2))
    [third] = hand.fetch(1).deliveries
    assert first.token < second.token < third.token
    assert hand.reconcile([known], token_seen=second.token) == [unknown]
    assert audit(stand).place == {unknown: "waiting", known: "leased by c1", newer: "leased by c1"}
    assert hand.end(third) == "committed"


def test_a_reconcile_of_a_process_that_has_seen_nothing_gives_back_nothing(
    stand: Stand, hand: Hand
) -> None:
    stand.send()
    hand.fetch()
    assert hand.reconcile([], token_seen=0) == []


def test_reconcile_returns_a_suspect_to_the_suspects_unproven(stand: Stand, living: Hand) -> None:
    [message] = stand.send(allowed=0)
    die_holding(stand, "dead", idle=False)
    pass_time(stand, 11, living)
    living.fetch(idle=True)
    assert living.reconcile([]) == [message]
    assert audit(stand).place == {message: "suspect"}


def test_a_released_message_of_a_limited_tenant_is_found_again_after_a_death(
    stand: Stand, living: Hand
) -> None:
    from engine.store.queues import Limits

    stand.store.queues.limit("t", Limits(max_concurrent=1))
    stand.send(2)
    die_holding(stand, "dead")
    assert living.ids() == []
    pass_time(stand, 11, living)
    audit(stand)
    [suspect] = living.fetch(idle=True).deliveries
    living.end(suspect)
    assert len(living.ids()) == 1


def test_an_undecodable_record_is_quarantined_by_the_reap(stand: Stand, living: Hand) -> None:
    [message] = stand.send()
    die_holding(stand, "dead")
    stand.client.hset(stand.key("messages"), message, b"\x00rubbish")
    pass_time(stand, 11, living)
    assert stand.store.letters.read(message).reason == "undecodable"
    assert "unknown" in stand.store.queues.names()
    assert not stand.client.exists(stand.key("messages"))


def test_a_run_that_ends_by_a_suspect_ends_once(stand: Stand, living: Hand) -> None:
    run = stand.start()
    die_holding(stand, "dead")
    pass_time(stand, 11, living)
    living.end(living.fetch(idle=True).deliveries[0], edges=[end()])
    assert stand.state(run) == "completed"
    assert len(stand.events("run.completed")) == 1


def test_a_consumer_that_stays_busy_is_served_beside_a_waiting_suspect(
    stand: Stand, living: Hand
) -> None:
    stand.send()
    die_holding(stand, "dead")
    pass_time(stand, 11, living)
    [innocent] = stand.send()
    transit = stand.store.transit
    call = transit.fetch_call(living.name, 99, 5, False, [("q", 5)], stays_busy=True)
    batch = transit.batch_of(stand.link.calls([call])[0])
    assert [delivery.id for delivery in batch.deliveries] == [innocent]
