"""Who may begin a duty: the leader alone, each nominal time once."""

from __future__ import annotations

import pytest

from engine.store.duties import Duties, Firing
from engine.store.store import Store
from tests.integration.maintenance.conftest import shift

PERIOD_MS = 60_000
LEASE_MS = 5_000


def on_the_minute(store: Store, plus_ms: int = 0) -> None:
    """Puts the clock on the next full minute, and a bit."""
    shift(store, 0)
    now_ms = store.queues.now_ms()
    shift(store, PERIOD_MS - now_ms % PERIOD_MS + plus_ms)


def lead(store: Store, candidate: str = "a") -> int:
    leads, token = store.lead(candidate, LEASE_MS)
    assert leads
    return token


def claim(store: Store, token: int, candidate: str = "a", duty: str = "sweep") -> Firing:
    return store.duties.claim(candidate, token, duty, PERIOD_MS)


def test_a_nominal_time_is_due_once_and_says_when_to_ask_again(store: Store) -> None:
    on_the_minute(store, 10_000)
    token = lead(store)

    first = claim(store, token)
    store.duties.note_begun("sweep", first.nominal_at_ms, "run-1")
    second = claim(store, token)

    assert first.verdict == "due"
    assert first.nominal_at_ms % PERIOD_MS == 0
    assert 45_000 < first.next_in_ms <= 50_000
    assert second == ("done", first.nominal_at_ms, second.next_in_ms)


def test_what_was_claimed_and_not_begun_is_due_for_the_next_leader_too(store: Store) -> None:
    on_the_minute(store)
    left = claim(store, lead(store))
    on_the_minute(store, PERIOD_MS)  # the lease lapses, and a minute more
    token = lead(store, "b")

    found = claim(store, token, "b")
    store.duties.note_begun("sweep", found.nominal_at_ms, "run-1")
    then = claim(store, token, "b")

    assert found == ("due", left.nominal_at_ms, 0)
    assert then.verdict == "due"
    assert then.nominal_at_ms == left.nominal_at_ms + PERIOD_MS


def test_a_former_leader_is_refused(store: Store) -> None:
    on_the_minute(store)
    old = lead(store, "a")
    on_the_minute(store, LEASE_MS + 1_000)
    new = lead(store, "b")

    assert new > old
    assert claim(store, old, "a").verdict == "deposed"
    assert claim(store, old, "b").verdict == "deposed"
    assert claim(store, new, "b").verdict == "due"


def test_a_leader_whose_lease_lapsed_or_was_given_up_is_refused(store: Store) -> None:
    on_the_minute(store)
    token = lead(store)
    on_the_minute(store, LEASE_MS + 1)
    assert claim(store, token).verdict == "deposed"

    token = lead(store)
    store.lead("a", 0)
    assert claim(store, token).verdict == "deposed"


def test_of_several_times_that_passed_the_last_alone_is_due(store: Store) -> None:
    on_the_minute(store)
    first = claim(store, lead(store))
    store.duties.note_begun("sweep", first.nominal_at_ms, "run-1")
    on_the_minute(store, 5 * PERIOD_MS)

    last = claim(store, lead(store))

    assert last.nominal_at_ms == first.nominal_at_ms + 5 * PERIOD_MS


def test_a_duty_whose_run_goes_on_is_busy(store: Store) -> None:
    on_the_minute(store)
    first = claim(store, lead(store))
    store.duties.note_begun("sweep", first.nominal_at_ms, "run-1")
    store.links.command("HSET", store.links.keys.name("run", run="run-1"), "state", "running")
    on_the_minute(store, PERIOD_MS)
    token = lead(store)

    assert claim(store, token).verdict == "busy"
    store.links.command("HSET", store.links.keys.name("run", run="run-1"), "state", "completed")
    assert claim(store, token).verdict == "due"


@pytest.mark.parametrize(("back_ms", "verdict"), [(1_000, "done"), (10 * PERIOD_MS, "due")])
def test_a_clock_put_back_far_does_not_stop_a_duty(
    store: Store, back_ms: int, verdict: str
) -> None:
    on_the_minute(store)
    first = claim(store, lead(store))
    store.duties.note_begun("sweep", first.nominal_at_ms, "run-1")
    on_the_minute(store, -back_ms)
    store.links.command("DEL", store.links.keys.name("leader"))

    assert claim(store, lead(store)).verdict == verdict


def test_a_late_note_of_an_older_time_costs_a_repeated_start_only(store: Store) -> None:
    on_the_minute(store)
    duties: Duties = store.duties
    first = claim(store, lead(store))
    duties.note_begun("sweep", first.nominal_at_ms, "run-1")
    on_the_minute(store, PERIOD_MS)
    token = lead(store)
    second = claim(store, token)
    duties.note_begun("sweep", second.nominal_at_ms, "run-2")

    duties.note_begun("sweep", first.nominal_at_ms, "run-1")  # by a leader that was long asleep

    assert claim(store, token)[:2] == ("due", second.nominal_at_ms)
    duties.note_begun("sweep", second.nominal_at_ms, "run-2")
    assert claim(store, token).verdict == "done"
