"""Runs: waiting for the end, cancelling, progress, and leaving the index."""

from __future__ import annotations

import threading
import time

from engine.store.entries import Claim
from tests.integration.store.audit import audit, strays
from tests.integration.store.stand import DAY_MS, Hand, Stand, arrive, end, fork


def test_an_unknown_run_has_no_state(stand: Stand) -> None:
    assert stand.store.runs.state("0" * 32) == (None, None)
    assert stand.store.runs.wait("0" * 32, 1000) is None
    assert stand.store.runs.read("0" * 32) is None
    assert stand.store.runs.cancel("0" * 32) is None


def test_waiting_ends_with_the_run_and_not_by_polling(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    thread = threading.Timer(0.2, lambda: hand.end(delivery, edges=[end()]))
    thread.start()
    began = time.monotonic()
    assert stand.store.runs.wait(run, 4_000) == "completed"
    assert time.monotonic() - began < 1.5
    thread.join()


def test_waiting_gives_up_when_its_time_is_over(stand: Stand) -> None:
    run = stand.start()
    assert stand.store.runs.wait(run, 50) == "running"
    assert stand.ttl("waiters", run=run) > 0


def test_a_later_waiter_lengthens_the_registration_and_an_earlier_one_does_not(
    stand: Stand,
) -> None:
    run = stand.start()
    for live_ms, at_least in ((60_000, 50_000), (120_000, 110_000), (1_000, 110_000)):
        stand.link.call("wait", [run, f"w{live_ms}", live_ms])
        assert stand.ttl("waiters", run=run) > at_least


def test_a_cancelled_run_ends_at_once_and_tells(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"))
    stand.link.call("wait", [run, "w", 60_000])
    assert stand.store.runs.cancel(run) == "running"
    assert stand.store.runs.cancel(run) == "cancelled"
    assert stand.state(run) == "cancelled"
    assert stand.client.llen(stand.key("waiter", waiter="w")) == 1
    assert hand.ids() == []
    audit(stand)
    assert [wrong for wrong in strays(stand) if run in wrong] == []


def test_an_ended_run_cannot_be_cancelled(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    hand.end(hand.fetch().deliveries[0], edges=[end()])
    assert stand.store.runs.cancel(run) == "completed"
    assert stand.state(run) == "completed"


def test_a_cancelled_runs_failure_does_not_bring_it_back(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"))
    first, second = hand.fetch().deliveries
    stand.store.runs.cancel(run)
    assert hand.end(first, "retry", delay_ms=1) == "committed"
    assert hand.end(second, "dead") == "committed"
    stand.advance(2)
    assert hand.ids() == []
    assert stand.state(run) == "cancelled"
    assert stand.store.letters.redrive(second.id) == "run_gone"
    audit(stand)


def test_progress_is_noted_on_a_run_that_is_there(stand: Stand) -> None:
    run = stand.start()
    stand.store.runs.progress(run, "0", 3, 10)
    assert stand.client.hget(stand.key("run", run=run), "p:0") == b"3/10"
    stand.store.runs.progress("f" * 32, "0", 3, 10)
    assert not stand.client.exists(stand.key("run", run="f" * 32))


def test_prune_takes_runs_that_are_gone_from_behind_those_that_stay(stand: Stand) -> None:
    stay = [stand.start() for _ in range(12)]
    gone = [stand.start() for _ in range(7)]
    later = [stand.start() for _ in range(3)]
    for run in gone:
        stand.client.delete(stand.key("run", run=run))
    now = stand.now_ms() + 1000
    pruned = stand.store.runs.prune(started_before_ms=now, cancelled_before_ms=0, at_most=5)
    assert pruned == (22, 7)
    assert set(stand.store.runs.all()) == {*stay, *later}


def test_prune_takes_runs_that_are_gone_out_of_their_attributes(stand: Stand) -> None:
    gone = stand.start(attributes=("order=1", "vip=true"))
    stay = stand.start(attributes=("order=2", "vip=true"))
    stand.client.delete(stand.key("run", run=gone))
    now = stand.now_ms() + 1000
    assert stand.store.runs.prune(started_before_ms=now, cancelled_before_ms=0) == (2, 1)
    assert not stand.client.exists(stand.key("attribute", attribute="order=1"))
    left = stand.client.zrange(stand.key("attribute", attribute="vip=true"), 0, -1)
    assert left == [stay.encode()]
    assert stand.client.hkeys(stand.key("attributes")) == [stay.encode()]
    assert stand.store.runs.read(stay).attributes == {"order": "2", "vip": "true"}


def test_prune_leaves_what_started_after_its_time_and_forgets_old_cancellations(
    stand: Stand,
) -> None:
    old = stand.start()
    stand.store.runs.cancel(old)
    stand.client.delete(stand.key("run", run=old))
    stand.advance(10_000)
    young = stand.start()
    stand.client.delete(stand.key("run", run=young))
    edge = stand.now_ms() - 5_000
    assert stand.store.runs.prune(started_before_ms=edge, cancelled_before_ms=edge)[1] == 1
    assert list(stand.store.runs.all()) == [young]
    assert not stand.client.exists(stand.key("cancelled"))


def finish(stand: Stand, hand: Hand, run: str, verb: str = "done") -> str:
    [delivery] = [d for d in hand.fetch().deliveries if d.id.startswith(run)]
    return hand.end(delivery, verb, edges=[end()] if verb == "done" else ())


def test_a_completed_run_is_forgotten_with_all_its_keys(stand: Stand, hand: Hand) -> None:
    before = set(stand.names())
    run = stand.start(fork("0", "1", then="2"))
    for delivery in hand.fetch().deliveries:
        hand.end(delivery, edges=[arrive("2", int(delivery.id[33:]))])
    assert finish(stand, hand, run) == "committed"
    assert stand.store.runs.forget([run]) == 1
    assert [name for name in set(stand.names()) - before if run in name] == []
    assert list(stand.store.runs.all()) == []
    assert stand.store.runs.forget([run]) == 0
    audit(stand)


def test_a_run_that_is_needed_is_not_forgotten(stand: Stand, hand: Hand) -> None:
    keyed = stand.start(claim=Claim("pipe", "digest", 0, DAY_MS))
    finish(stand, hand, keyed)
    failed = stand.start()
    finish(stand, hand, failed, "dead")
    cancelled = stand.start()
    stand.store.runs.cancel(cancelled)
    running = stand.start()
    before = stand.dump()
    assert stand.store.runs.forget([keyed, failed, cancelled, running]) == 0
    assert stand.dump() == before
    assert stand.store.letters.redrive(f"{failed}:0") == "redriven"


def test_a_failed_run_is_forgotten_once_its_letters_are_gone(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"))
    first, second = hand.fetch().deliveries
    hand.end(first, "dead")
    hand.end(second, edges=[arrive("2", 1)])
    assert stand.store.runs.forget([run]) == 0
    stand.store.letters.purge("q")
    assert stand.store.runs.forget([run]) == 1
    assert [name for name in stand.names() if run in name] == []


def test_the_heads_of_runs_tell_how_they_stand(stand: Stand, hand: Hand) -> None:
    run, other = stand.start(), stand.start()
    finish(stand, hand, run)
    head, running, gone = stand.store.runs.heads([run, other, "0" * 32])
    assert (head.plan, head.state, running.state, gone) == ("plan", "completed", "running", None)
    assert abs(head.ended_at_ms - stand.now_ms()) < 5_000
    assert running.ended_at_ms is None


def test_one_candidate_leads_and_every_new_leader_has_a_higher_token(stand: Stand) -> None:
    assert stand.store.lead("a", 10_000) == (True, 1)
    assert stand.store.lead("b", 10_000) == (False, 1)
    stand.advance(9_000)
    assert stand.store.lead("a", 10_000) == (True, 1)
    stand.advance(9_000)
    assert stand.store.lead("b", 10_000) == (False, 1)
    stand.advance(1_001)
    assert stand.store.lead("b", 10_000) == (True, 2)
    assert stand.store.lead("a", 10_000) == (False, 2)


def test_a_leader_that_slept_past_its_lease_gets_a_new_token(stand: Stand) -> None:
    stand.store.lead("a", 1_000)
    stand.advance(1_001)
    assert stand.store.lead("a", 1_000) == (True, 2)


def test_leadership_can_be_given_up_by_its_holder_alone(stand: Stand) -> None:
    stand.store.lead("a", 10_000)
    assert stand.store.lead("b", 0) == (False, 1)
    assert stand.store.lead("b", 10_000) == (False, 1)
    stand.store.lead("a", 0)
    assert stand.store.lead("b", 10_000) == (True, 2)


def test_a_walk_over_all_runs_misses_and_repeats_none_that_stays(stand: Stand) -> None:
    runs = []
    for _ in range(4):  # several runs of one millisecond, in several milliseconds
        runs += [stand.start() for _ in range(3)]
        stand.advance(1)
    walk = stand.store.runs.all(page=2)
    seen = [next(walk) for _ in range(5)]
    later = stand.start()
    stand.client.zrem(stand.key("runs"), seen[0], seen[1])
    seen += walk
    assert len(seen) == len(set(seen))
    assert set(seen) == set(runs)
    assert later not in seen
