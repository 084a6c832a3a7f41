"""Commit: a group of whole hops, each once, each with its own verdict."""

from __future__ import annotations

from itertools import pairwise

import pytest

from engine.store.entries import text
from tests.integration.store.audit import audit, strays
from tests.integration.store.stand import DAY_MS, Hand, Stand, arrive, each, end, fork, one


def test_done_ends_a_plain_message(stand: Stand, hand: Hand) -> None:
    stand.send()
    assert hand.end(hand.fetch().deliveries[0]) == "committed"
    assert audit(stand).place == {}


def test_a_chain_goes_hop_by_hop_to_its_result(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0", body=b"in")])
    [first] = hand.fetch().deliveries
    assert (first.id, first.kind, first.body) == (f"{run}:0", "s", b"in")
    assert hand.end(first, edges=[one("1", body=b"next")]) == "committed"
    [second] = hand.fetch().deliveries
    assert second.body == b"next"
    assert stand.state(run) == "running"
    hand.end(second, edges=[end(b"42")])
    assert stand.store.runs.state(run) == ("completed", b"42")
    audit(stand)


def test_a_retry_comes_back_later_with_a_higher_number_to_its_old_place(
    stand: Stand, hand: Hand
) -> None:
    first, second = stand.send(2)
    [delivery] = hand.fetch(1).deliveries
    hand.end(delivery, "retry", delay_ms=5000, story="failed")
    assert stand.count() == (1, 1, 0, 0)
    stand.advance(5_001)
    again = hand.fetch(2).deliveries
    assert [(d.id, d.attempt) for d in again] == [(first, 2), (second, 1)]
    audit(stand)


def test_failures_are_remembered_up_to_twenty_and_forgotten_when_done(
    stand: Stand, hand: Hand
) -> None:
    [message] = stand.send()
    for number in range(25):
        hand.end(hand.fetch().deliveries[0], "retry", delay_ms=1, story=f"failure {number}")
        stand.advance(2)
    errors = stand.client.lrange(stand.key("errors", message=message), 0, -1)
    assert errors == [f"failure {n}".encode() for n in range(5, 25)]
    hand.end(hand.fetch().deliveries[0])
    assert not stand.client.exists(stand.key("errors", message=message))


def test_a_snooze_costs_no_attempt(stand: Stand, hand: Hand) -> None:
    stand.send()
    hand.end(hand.fetch().deliveries[0], "snooze", delay_ms=1000)
    stand.advance(1_001)
    assert hand.fetch().deliveries[0].attempt == 1


def test_a_release_returns_a_message_to_its_place_uncounted(stand: Stand, hand: Hand) -> None:
    sent = stand.send(3)
    first = hand.fetch(2).deliveries
    hand.commit(*(hand.ending(d, "release") for d in first))
    got = hand.fetch(3).deliveries
    assert [(d.id, d.attempt) for d in got] == [(m, 1) for m in sent]
    audit(stand)


def test_a_dropped_delivery_is_gone(stand: Stand, hand: Hand) -> None:
    stand.send()
    assert hand.end(hand.fetch().deliveries[0], "drop") == "committed"
    assert audit(stand).place == {}


def test_a_dead_plain_message_is_kept_with_its_story(stand: Stand, hand: Hand) -> None:
    [message] = stand.send(body=b"payload")
    hand.end(hand.fetch().deliveries[0], "retry", delay_ms=1, story="first")
    stand.advance(2)
    hand.end(hand.fetch().deliveries[0], "dead", reason="attempts_exhausted", story="last")
    letter = stand.store.letters.read(message)
    assert letter is not None
    assert (letter.queue, letter.tenant, letter.reason) == ("q", "t", "attempts_exhausted")
    assert (letter.story, letter.errors, letter.body, letter.attempt) == (
        b"last",
        [b"first"],
        b"payload",
        2,
    )
    assert stand.store.letters.newest("q") == [message]
    assert stand.events("message.died")[0]["reason"] == "attempts_exhausted"
    audit(stand)


def test_a_dead_stage_fails_its_run(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], "dead")
    assert stand.state(run) == "failed"
    assert [f["event"] for f in stand.events()] == ["run.started", "stage.died", "run.failed"]
    audit(stand)


def test_an_unknown_stage_is_offered_until_the_grace_ends(stand: Stand, hand: Hand) -> None:
    [message] = stand.send()
    for _ in range(59):
        assert (
            hand.end(hand.fetch().deliveries[0], "unknown", reason="unknown_stage") == "committed"
        )
        assert stand.count() == (0, 1, 0, 0)
        stand.advance(1_001)
    stand.advance(2_000)
    hand.end(hand.fetch().deliveries[0], "unknown", reason="unknown_stage")
    assert stand.count() == (0, 0, 0, 1)
    assert stand.store.letters.read(message).reason == "unknown_stage"
    assert not stand.client.exists(stand.key("unknown"))


@pytest.mark.parametrize("verb", ["done", "retry", "dead"])
def test_a_stage_that_became_known_is_no_longer_unknown(
    stand: Stand, hand: Hand, verb: str
) -> None:
    stand.send()
    hand.end(hand.fetch().deliveries[0], "unknown")
    stand.advance(1_001)
    hand.end(hand.fetch().deliveries[0], verb, delay_ms=1)
    assert not stand.client.exists(stand.key("unknown"))


def test_a_late_attempt_is_refused_by_its_token(stand: Stand, hand: Hand) -> None:
    stand.send()
    [late] = hand.fetch().deliveries
    hand.end(late, "release")
    [now] = hand.fetch().deliveries
    before = stand.dump()
    assert hand.commit(hand.ending(late)) == ["stale"]
    changed = {k for k, v in stand.dump().items() if before.get(k) != v}
    assert changed == {"consumer:c1"}
    assert hand.end(now) == "committed"


def test_another_consumers_lease_cannot_be_committed(stand: Stand, hand: Hand) -> None:
    stand.send()
    [delivery] = hand.fetch().deliveries
    assert stand.hand("c2").commit(hand.ending(delivery)) == ["stale"]
    assert hand.end(delivery) == "committed"


def test_one_delivery_twice_in_a_group_counts_once(stand: Stand, hand: Hand) -> None:
    stand.send()
    [delivery] = hand.fetch().deliveries
    assert hand.commit(hand.ending(delivery), hand.ending(delivery)) == ["committed", "stale"]
    audit(stand)


def test_a_repeated_number_answers_the_same_and_changes_nothing(stand: Stand, hand: Hand) -> None:
    stand.start()
    stand.send(2)
    deliveries = hand.fetch().deliveries
    endings = [
        hand.ending(d, verb, edges=[end()] if d.kind == "s" else ())
        for d, verb in zip(deliveries, ("done", "retry", "dead"), strict=True)
    ]
    first = hand.commit(*endings)
    before = stand.dump()
    assert hand.commit(*endings, again=True) == first == ["committed"] * 3
    assert stand.dump() == before


def test_an_empty_group_is_harmless(stand: Stand, hand: Hand) -> None:
    assert hand.commit() == []


def test_a_sick_entry_does_not_take_its_neighbours_down(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    stand.send(2)
    deliveries = hand.fetch().deliveries
    stand.client.delete(stand.key("run", run=run))
    verdicts = hand.commit(
        *(hand.ending(d, edges=[end()] if d.kind == "s" else ()) for d in deliveries)
    )
    expected = ["refused:run_gone" if d.kind == "s" else "committed" for d in deliveries]
    assert verdicts == expected
    assert audit(stand).place == {}


def test_a_message_whose_record_is_gone_is_refused_and_frees_its_lease(
    stand: Stand, hand: Hand
) -> None:
    [message] = stand.send()
    [delivery] = hand.fetch().deliveries
    stand.client.hdel(stand.key("messages"), message)
    assert hand.end(delivery, "retry") == "refused:message_gone"
    assert stand.count() == (0, 0, 0, 0)


def test_a_hundred_and_twenty_eight_entries_commit_in_one_call(stand: Stand, hand: Hand) -> None:
    stand.send(128)
    deliveries = hand.fetch(128).deliveries
    assert hand.commit(*(hand.ending(d) for d in deliveries)) == ["committed"] * 128
    audit(stand)


def test_the_outbox_travels_with_the_commit(stand: Stand, hand: Hand) -> None:
    stand.send()
    [delivery] = hand.fetch().deliveries
    now = stand.message("other", "u", body=b"now")
    later = stand.message("other", "u", delay_ms=1000)
    hand.end(delivery, outbox=[now.in_outbox(), later.in_outbox()])
    assert stand.count("other") == (1, 1, 0, 0)
    assert stand.woken("other")
    assert stand.hand("c2", ["other"]).fetch().deliveries[0].body == b"now"
    audit(stand)


def test_a_stale_delivery_sends_nothing(stand: Stand, hand: Hand) -> None:
    stand.send()
    [delivery] = hand.fetch().deliveries
    hand.end(delivery, "release")
    hand.commit(hand.ending(delivery, outbox=[stand.message("other").in_outbox()]))
    assert stand.count("other") == (0, 0, 0, 0)


# -- the end


@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
def test_the_end_of_a_run_sets_the_life_of_all_its_keys(
    stand: Stand, hand: Hand, ending: str
) -> None:
    stand.start([*fork("0", "1", then="2"), each("3", [b"a", b"b"], 1, "4")])
    deliveries = hand.fetch().deliveries
    hand.end(deliveries[0], edges=[arrive("2", 0)])
    run = deliveries[0].id[:32]
    assert all(stand.ttl(k, run=run) < 0 for k in ("run", "open"))
    if ending == "completed":
        hand.end(deliveries[1], edges=[end()])
    elif ending == "failed":
        hand.end(deliveries[1], "dead")
    else:
        stand.store.runs.cancel(run)
    assert stand.state(run) == ending
    assert [wrong for wrong in strays(stand) if run in wrong] == []


def test_what_a_failed_run_still_stores_does_not_outlive_it(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0"), one("1"), one("2")])
    first, second, third = hand.fetch().deliveries
    hand.end(first, "dead")
    hand.end(second, edges=[arrive("9", 0)], result=text(b"1"))
    hand.end(third, edges=[*fork("4", "5", then="6")])
    assert [wrong for wrong in strays(stand) if run in wrong] == []


def test_a_failed_run_is_kept_as_long_as_its_letters(stand: Stand, hand: Hand) -> None:
    run = stand.start(keep_ms=1000)
    hand.end(hand.fetch().deliveries[0], "dead")
    assert stand.ttl("run", run=run) > 29 * DAY_MS


def test_a_run_without_retention_ends_in_order(stand: Stand, hand: Hand) -> None:
    run = stand.start(keep_ms=0)
    assert hand.end(hand.fetch().deliveries[0], edges=[end()]) == "committed"
    assert stand.state(run) in (None, "completed")
    audit(stand)


def test_a_stage_that_dies_after_its_run_is_gone_leaves_no_run_behind(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    stand.client.delete(stand.key("run", run=run))
    assert hand.end(delivery, "dead") == "committed"
    assert not stand.client.exists(stand.key("run", run=run))
    audit(stand)


def test_the_end_signals_every_waiter(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    for waiter in ("w1", "w2"):
        stand.link.call("wait", [run, waiter, 60_000])
    hand.end(hand.fetch().deliveries[0], edges=[end()])
    for waiter in ("w1", "w2"):
        assert stand.client.lpop(stand.key("waiter", waiter=waiter)) is not None
    assert not stand.client.exists(stand.key("waiters", run=run))


def test_work_of_a_cancelled_run_is_refused(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    stand.store.runs.cancel(run)
    assert hand.end(delivery, edges=[one("1")]) == "refused:run_cancelled"
    assert audit(stand).place == {}


def test_the_stages_of_a_run_tell_what_they_took(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    hand.end(delivery, wait_ms=7, run_ms=1234, stage="work", edges=[one("1")])
    [stage] = stand.store.runs.read(run).stages
    assert (stage.position, stage.stage, stage.state) == ("0", "work", "done")
    assert (stage.attempt, stage.wait_ms, stage.run_ms) == (1, 7, 1234)


def test_large_numbers_are_written_out(stand: Stand, hand: Hand) -> None:
    stand.client.set(stand.key("token"), 10**13)
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    assert delivery.token == 10**13 + 1
    hand.end(delivery, wait_ms=3 * 10**12, run_ms=10**12, edges=[one("1")])
    [stage] = stand.store.runs.read(run).stages
    assert (stage.wait_ms, stage.run_ms) == (3 * 10**12, 10**12)


def test_events_tell_the_story_in_order(stand: Stand, hand: Hand) -> None:
    stand.start()
    hand.end(hand.fetch().deliveries[0], "retry", delay_ms=1)
    stand.advance(2)
    hand.end(hand.fetch().deliveries[0], edges=[end()])
    told = [fact["event"] for fact in stand.events()]
    assert told == ["run.started", "stage.retried", "stage.completed", "run.completed"]
    places = [record.entry for record in stand.store.events.all()]
    assert all(a <= b for a, b in pairwise(places))
