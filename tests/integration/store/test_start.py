"""Start: runs begin once a run id and once an idempotency key, whatever the clock says."""

from __future__ import annotations

import re

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ScriptRefused
from engine.store.entries import Claim, text
from tests.integration.store.audit import audit, strays
from tests.integration.store.stand import DAY_MS, Hand, Stand, end, fork, new_run, one

WINDOW_MS = 300_000


def begin(stand: Stand, *beginnings: object) -> list[tuple[str, str] | None]:
    return stand.store.transit.start([b.packed() for b in beginnings])  # type: ignore[attr-defined]


def keyed(stand: Stand, window_ms: int = 0, *, restart: bool = False, **fields: object):
    claim = Claim("pipe", "digest", window_ms, DAY_MS, restart)
    return stand.beginning(claim=claim, **fields)  # type: ignore[arg-type]


def test_a_run_starts_with_its_first_messages(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"), tenant="acme", key="k", keep_ms=5000)
    record = stand.store.runs.read(run)
    assert (record.state, record.tenant, record.key, record.plan) == (
        "running",
        "acme",
        "k",
        "plan",
    )
    assert hand.ids() == [f"{run}:0", f"{run}:1"]
    assert stand.store.runs.newest() == [run]
    audit(stand)


def test_many_runs_start_in_one_call(stand: Stand) -> None:
    beginnings = [stand.beginning() for _ in range(100)]
    assert begin(stand, *beginnings) == [None] * 100
    assert stand.count() == (100, 0, 0, 0)
    assert set(stand.store.runs.all(page=7)) == {b.run for b in beginnings}


def test_slices_start_together(stand: Stand) -> None:
    slices = [[stand.beginning().packed() for _ in range(3)] for _ in range(3)]
    assert stand.store.transit.start_slices(slices) == [None] * 9


def test_a_run_id_that_is_repeated_changes_nothing(stand: Stand) -> None:
    beginning = stand.beginning()
    assert begin(stand, beginning) == [None]
    before = stand.dump()
    assert begin(stand, beginning, beginning) == [None, None]
    assert stand.dump() == before


def test_a_keyed_run_that_is_repeated_after_a_lost_reply_is_its_own_holder(stand: Stand) -> None:
    beginning = keyed(stand)
    assert begin(stand, beginning) == [None]
    before = stand.dump()
    assert begin(stand, beginning) == [None]
    assert stand.dump() == before


def test_a_plan_that_is_not_stored_is_asked_for_and_nothing_starts(stand: Stand) -> None:
    before = stand.dump()
    with pytest.raises(ScriptRefused, match="PLAN_MISSING"):
        begin(stand, stand.beginning(), stand.beginning(plan="other"))
    assert stand.dump() == before


def test_a_run_may_end_as_it_starts(stand: Stand) -> None:
    run = stand.start([end(b"[]")])
    assert stand.store.runs.state(run) == ("completed", b"[]")
    assert strays(stand) == []


def test_an_explicit_key_is_held_by_the_first_run(stand: Stand, hand: Hand) -> None:
    first, second = keyed(stand), keyed(stand)
    assert begin(stand, first, second) == [None, (first.run, "running")]
    assert stand.count() == (1, 0, 0, 0)
    hand.end(hand.fetch().deliveries[0], edges=[end()])
    assert begin(stand, keyed(stand)) == [(first.run, "completed")]


def test_a_claim_lives_as_long_as_it_says(stand: Stand) -> None:
    begin(stand, keyed(stand))
    [name] = [name for name in stand.names() if name.startswith("idem:")]
    assert DAY_MS - 10_000 < stand.client.pttl(stand.keys.prefix + name) <= DAY_MS


def test_tenants_and_types_with_colons_never_share_a_key(stand: Stand) -> None:
    one_claim = Claim("x", "pipe:k", 0, DAY_MS)
    other = Claim("pipe", "k", 0, DAY_MS)
    beginnings = [
        stand.beginning(tenant="acme", claim=one_claim),
        stand.beginning(tenant="acme:x", claim=other),
    ]
    assert begin(stand, *beginnings) == [None, None]


@pytest.mark.parametrize("window_ms", [0, WINDOW_MS])
@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_dead_run_keeps_its_key_unless_the_policy_restarts(
    stand: Stand, hand: Hand, ending: str, window_ms: int
) -> None:
    first = keyed(stand, window_ms)
    begin(stand, first)
    if ending == "failed":
        hand.end(hand.fetch().deliveries[0], "dead")
    else:
        stand.store.runs.cancel(first.run)
    assert begin(stand, keyed(stand, window_ms)) == [(first.run, ending)]
    second = keyed(stand, window_ms, restart=True)
    assert begin(stand, second) == [None]
    assert begin(stand, keyed(stand, window_ms, restart=True)) == [(second.run, "running")]


@pytest.mark.parametrize("state", ["running", "completed"])
def test_a_living_or_completed_run_is_never_restarted(stand: Stand, hand: Hand, state: str) -> None:
    first = keyed(stand, restart=True)
    begin(stand, first)
    if state == "completed":
        hand.end(hand.fetch().deliveries[0], edges=[end()])
    assert begin(stand, keyed(stand, restart=True)) == [(first.run, state)]


def test_a_content_key_of_the_window_before_needs_its_run_to_be_there(stand: Stand) -> None:
    first = keyed(stand, WINDOW_MS)
    begin(stand, first)
    into = stand.now_ms() % WINDOW_MS
    stand.advance(WINDOW_MS - into + 10)
    if into > 20:
        assert begin(stand, keyed(stand, WINDOW_MS)) == [(first.run, "running")]


@given(offset=st.integers(0, WINDOW_MS - 1), gap=st.integers(0, 2 * WINDOW_MS + 10))
@settings(max_examples=60, deadline=None)
def test_a_duplicate_is_one_exactly_while_younger_than_the_window(
    client: redis.Redis, offset: int, gap: int
) -> None:
    check_window(client, offset, gap)


@pytest.mark.parametrize("offset", [0, 1, 150_000, WINDOW_MS - 2, WINDOW_MS - 1])
@pytest.mark.parametrize("gap", [0, 1, WINDOW_MS - 60, WINDOW_MS, WINDOW_MS + 1, 2 * WINDOW_MS])
def test_the_windows_edges_are_exact(client: redis.Redis, offset: int, gap: int) -> None:
    check_window(client, offset, gap)


def check_window(client: redis.Redis, offset: int, gap: int) -> None:
    """Starts at `offset` into a window and again `gap` later; real time goes on meanwhile."""
    stand = Stand(client)
    try:
        stand.advance(WINDOW_MS - stand.now_ms() % WINDOW_MS + offset)
        first, second = keyed(stand, WINDOW_MS), keyed(stand, WINDOW_MS)
        assert begin(stand, first) == [None]
        stand.advance(gap)
        verdict = begin(stand, second)
        if verdict == [None]:
            begun = [
                int(client.hget(stand.key("run", run=b.run), "started")) for b in (first, second)
            ]
            assert begun[1] - begun[0] >= WINDOW_MS
        else:
            assert verdict == [(first.run, "running")]
            assert gap < WINDOW_MS
    finally:
        stand.clear()


def test_a_window_slides_with_the_run_that_holds_it(stand: Stand) -> None:
    stand.advance(WINDOW_MS - stand.now_ms() % WINDOW_MS)
    first, later = keyed(stand, WINDOW_MS), keyed(stand, WINDOW_MS)
    begin(stand, first)
    stand.advance(WINDOW_MS - 1000)
    assert begin(stand, keyed(stand, WINDOW_MS)) == [(first.run, "running")]
    stand.advance(1000)
    assert begin(stand, later) == [None]
    stand.advance(WINDOW_MS - 1000)
    assert begin(stand, keyed(stand, WINDOW_MS)) == [(later.run, "running")]


def test_a_delayed_run_is_one_at_once_and_its_work_comes_later(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0")], delay_ms=60_000)
    assert stand.state(run) == "running"
    assert stand.count() == (0, 1, 0, 0)
    assert stand.store.runs.cancel(run) == "running"
    stand.advance(60_001)
    assert hand.ids() == []
    audit(stand)


def test_an_id_is_as_long_as_the_scripts_think(stand: Stand) -> None:
    from engine.workflow.names import new_run_id

    assert len(new_run_id()) == len(new_run()) == 32


def test_the_stream_of_events_is_trimmed_by_those_who_append_to_it(stand: Stand) -> None:
    fill = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'facts', 'run.started') end"
    events = stand.keys.name("events")
    stand.client.eval(fill, 1, events, 100_050)
    stand.start()
    assert stand.client.xlen(events) == 100_051  # a node of the stream goes as a whole
    stand.client.eval(fill, 1, events, 500)
    stand.start()
    assert 100_000 <= stand.client.xlen(events) <= 100_150


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("waits", [False, True])
def test_the_short_way_of_a_start_leads_where_the_long_one_does(
    client: redis.Redis, key: str | None, waits: bool
) -> None:
    claim = Claim("pipe", key, 0, DAY_MS) if key else None
    stories = []
    for way in ("short", "long"):
        stand = Stand(client)
        stand.start(run="a" * 32, tenant="t" if waits else "other")
        beginning = stand.beginning([one("0", priority=7)], run="b" * 32, key=key, claim=claim)
        if way == "short":
            assert stand.store.transit.start_one(beginning)
            assert not stand.store.transit.start_one(beginning)
        else:
            assert begin(stand, beginning) == [None]
        audit(stand)
        stories.append((contents(stand), stand.events()))
        stand.clear()
    assert stories[0] == stories[1]


def contents(stand: Stand) -> dict[str, str]:
    """What every key but the stream holds, and whether it expires; times are masked."""
    client = stand.client
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        b"set": client.smembers,
        b"list": lambda name: client.lrange(name, 0, -1),
    }
    held = {}
    for name in stand.names():
        full = stand.keys.prefix + name
        if name != "events":
            found = str(readers[client.type(full)](full))
            held[name] = re.sub(r"\b1[78]\d{11}\b", "TIME", found) + str(client.ttl(full) > 0)
    return held


def test_the_short_way_leaves_all_that_is_unusual_to_the_long_one(stand: Stand) -> None:
    short = stand.store.transit.start_one
    assert not short(stand.beginning())  # the queue is not known
    stand.start()
    before = stand.dump()
    assert not short(stand.beginning(fork("0", "1", then="2")))
    assert not short(stand.beginning(delay_ms=5))
    assert not short(stand.beginning(plan="missing"))
    assert not short(keyed(stand, WINDOW_MS))
    assert not short(keyed(stand))
    assert stand.dump() == before


def test_a_start_that_is_repeated_or_a_duplicate_is_found_by_its_attributes_once(
    stand: Stand,
) -> None:
    claim = Claim("pipe", "k", 0, 1000)
    first = stand.beginning(claim=claim, attributes=("order=1",))
    second = stand.beginning(claim=claim, attributes=("order=2",))
    stand.store.transit.start([first.packed()])
    stand.store.transit.start([first.packed(), second.packed()])
    assert stand.client.zrange(stand.key("attribute", attribute="order=1"), 0, -1) == [
        first.run.encode()
    ]
    assert not stand.client.exists(stand.key("attribute", attribute="order=2"))


def test_a_start_without_attributes_writes_no_index_of_them(stand: Stand) -> None:
    stand.start()
    assert not [name for name in stand.names() if name.startswith("attr")]


def test_notes_stand_in_the_run_from_its_start(stand: Stand) -> None:
    run = stand.start(notes=("replay_of", "a" * 32, "r:0", text(b"1")))
    assert stand.client.hget(stand.key("run", run=run), "r:0") == b"1"
    assert stand.store.runs.read(run).replay_of == "a" * 32
