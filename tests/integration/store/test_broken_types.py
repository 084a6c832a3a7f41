"""Every key of every script is broken in turn: then nothing changes, or the harm stays in place.

A scene (see `scene`) holds something of everything; a call is made once undisturbed to find every
key that it can meet, and then once for each of those keys while that key has a wrong type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis

from engine.errors import ScriptRefused
from engine.store import scripts
from engine.store.entries import Claim
from engine.store.keys import SHAPES
from engine.store.queues import Limits
from tests.integration.store.audit import places, shape_of
from tests.integration.store.branching import (
    child,
    extend,
    lost,
    pages,
    undo,
    wait,
)
from tests.integration.store.scene import Scene, build
from tests.integration.store.stand import Stand, arrive, each, end, fork, one


def _commit(scene: Scene) -> object:
    """One group with something of everything."""
    hand = scene.hand
    by = dict(hand.held)
    r = scene.runs
    endings = [
        hand.ending(by[r["join"] + ":0"], edges=[arrive("2", 0)]),
        hand.ending(by[r["join"] + ":1"], edges=[arrive("2", 1)], attempt=2),
        hand.ending(by[r["each"] + ":0.0"], edges=[arrive("1", 0)]),
        hand.ending(by[r["each"] + ":0.1"], "retry", delay_ms=5, story="{}"),
        hand.ending(by[r["chain"] + ":0"], edges=[one("1"), end()]),
        hand.ending(by[r["sick"] + ":0"], "dead"),
        hand.ending(by[r["cancelled"] + ":0"]),
    ]
    plain = [d for d in by.values() if d.kind == "d"]
    for delivery, verb in zip(
        plain, ("release", "snooze", "unknown", "drop", "done"), strict=False
    ):
        outbox = [scene.stand.message("other").in_outbox()] if verb == "done" else ()
        endings.append(hand.ending(delivery, verb, outbox=outbox))
    return hand.commit(*endings)


def _commit_branches(scene: Scene) -> object:
    """One group with an edge of every rarer kind, and every way a run with them can end."""
    hand = scene.branch_hand
    held = {(d.id[:32], d.id[33:]): d for d in hand.held.values()}
    r = scene.runs

    def ending(run: str, position: str, verb: str = "done", *edges: Any) -> Any:
        return hand.ending(held[r[run], position], verb, edges=edges)

    return hand.commit(
        ending("race", "1", "done", arrive("3", 0)),
        ending("race", "2", "done", arrive("3", 1), undo("2", "b")),
        ending("quorum", "1", "caught", lost("3", 0)),
        ending("closed", "2"),
        ending("inbox", "0", "done", wait("1", "go", "2"), wait("3", "go", "4", 500)),
        ending("bearer", "0", "done", child("1", [one("0", "b")], "2", "ab" * 16), undo("0", "b")),
        ending("kid", "0", "done", end()),
        ending("book", "0.0", "done", pages("1", [b"a"] * 3, 2, "2", "0.1")),
        ending("pages", "0.1", "done", extend("2", [b"d", b"e"], None)),
        ending("pages", "1.0", "done", arrive("2", 0)),
        ending("joined", "2", "done", one("3", "b")),
        ending("timed", "0", "done", one("2", "b")),
        ending("spoilt", "9", "dead"),
        ending("undoing", "~0"),
        ending("ending", "1", "done", end()),
    )


def _start_branches(scene: Scene) -> object:
    s = scene.stand
    inner = [wait("0", "go", "1", 500), one("8", "b")]
    beginnings = [
        s.beginning([child("0", inner, "1", "e" * 32), wait("2", "go", "3")], run="f" * 32),
        s.beginning([pages("1", [b"a"], 2, "2", "0.1"), undo("7", "b")], run="ef" * 16),
    ]
    return s.store.transit.start([beginning.packed() for beginning in beginnings])


def _start(scene: Scene) -> object:
    s = scene.stand
    claim = Claim("pipe", "fresh", 300_000, 1000)
    return s.store.transit.start(
        [
            s.beginning(fork("0", "1", then="2"), run="a" * 32, claim=claim).packed(),
            s.beginning([each("0", [b"a"] * 3, 2, "1")], run="b" * 32).packed(),
            s.beginning([one("0")], run="c" * 32, delay_ms=1000).packed(),
            s.beginning([one("0")], run="7" * 32, attributes=("order=1", "vip=true")).packed(),
            s.beginning([end()], run="d" * 32, claim=Claim("pipe", "k", 0, 1000)).packed(),
        ]
    )


def _start_one(scene: Scene) -> object:
    claim = Claim("pipe", "fresh", 0, 1000)
    beginning = scene.stand.beginning(run="f" * 32, key="fresh", tenant="new", claim=claim)
    return scene.stand.store.transit.start_one(beginning)


def _enqueue(scene: Scene) -> object:
    s = scene.stand
    keyed: dict[str, Any] = {"digest": "new", "ttl_ms": 1000}
    messages = [s.message(id="n1"), s.message(id="n2", delay_ms=5), s.message(id="n3", **keyed)]
    return s.store.transit.enqueue("call", messages)


CALLS: dict[str, Sequence[Callable[[Scene], object]]] = {
    "answer": [
        lambda s: s.stand.store.callbacks.answer(
            s.runs["chain"], "9", b"1", failed=False, until_ms=0
        )
    ],
    "beat": [lambda s: s.hand.beat(), lambda s: s.suspect_hand.beat()],
    "cancel": [
        lambda s: s.stand.store.runs.cancel(s.runs["chain"]),
        lambda s: s.stand.store.runs.cancel(s.runs["family"]),
        lambda s: s.stand.store.runs.cancel(s.runs["spoilt"], undo=True),
    ],
    "claim_duty": [lambda s: s.stand.store.duties.claim("leader", 1, "other", 1000)],
    "commit": [_commit, _commit_branches],
    "enlist": [lambda s: s.stand.hand("new", ["q", "fresh"], q=3)],
    "enqueue": [_enqueue],
    "fetch": [
        lambda s: s.hand.fetch(9),
        lambda s: s.hand.fetch(9, again=True),
        lambda s: s.suspect_hand.fetch(9, idle=True),
        lambda s: s.branch_hand.fetch(30),
    ],
    "flush": [lambda s: s.stand.store.queues.flush("q")],
    "forget": [lambda s: s.stand.store.runs.forget(list(s.runs.values()))],
    "lead": [
        lambda s: s.stand.store.lead("leader", 5000),
        lambda s: s.stand.store.lead("leader", 0),
    ],
    "limit": [
        lambda s: s.stand.store.queues.limit("few", Limits(weight=3)),
        lambda s: s.stand.store.queues.limit("few", None),
        lambda s: s.stand.store.queues.limit("*", Limits(weight=3)),
    ],
    "pause_run": [lambda s: s.stand.store.runs.pause(s.runs["race"])],
    "pause": [lambda s: s.stand.store.queues.pause("q")],
    "prune": [
        lambda s: s.stand.store.runs.prune(started_before_ms=2**50, cancelled_before_ms=2**50)
    ],
    "purge": [lambda s: s.stand.store.letters.purge("q")],
    "reconcile": [lambda s: s.hand.reconcile([])],
    "redrive": [
        lambda s: s.stand.store.letters.redrive(s.letters["stage"]),
        lambda s: s.stand.store.letters.redrive(s.letters["plain"], b"new"),
        lambda s: s.stand.store.letters.redrive(s.letters["lapsed"]),
    ],
    "resume_run": [lambda s: s.stand.store.runs.resume(s.runs["family"])],
    "retire": [lambda s: s.stand.store.transit.retire("c2")],
    "start_one": [_start_one],
    "signal": [
        lambda s: s.stand.store.runs.signal(s.runs["family"], "go", b"1", once="a"),
        lambda s: s.stand.store.runs.signal(s.runs["inbox"], "go", b"1"),
        lambda s: s.stand.store.runs.signal(s.runs["closed"], "go", b"1"),
    ],
    "start": [_start, _start_branches],
    "usage": [lambda s: s.stand.store.usage.add("t", "other", 2, once=s.runs["join"])],
    "wait": [lambda s: s.stand.link.call("wait", [s.runs["join"], "w9", 60_000])],
}

READS_ONLY = {("fetch", 1)}

# (script, shape) that a script may go on without, and why no harm spreads from it.
GOES_ON = {
    ("fetch", "waiting"): "the tenant waits until its key is mended; the others are served",
    ("fetch", "rate"): "the tenant waits a minute and is looked at again",
    ("fetch", "parked"): "the tenant is not found again before it sends or its limits change",
    ("fetch", "join"): "the delivery has no inputs: it becomes a dead letter",
    ("fetch", "each"): "the delivery has no inputs: it becomes a dead letter",
    ("fetch", "run"): "what cannot be set aside is looked at again in a minute",
    ("fetch", "open"): "what cannot be set aside is looked at again in a minute",
    ("fetch", "paused"): "what cannot be set aside is looked at again in a minute",
    ("fetch", "scopes"): "what lost its race is handed out, and refused when it commits",
    ("fetch", "letter"): "only for records that cannot be read",
    ("fetch", "dead"): "only for records that cannot be read",
    ("fetch", "queue"): "another queue's: its due messages wait a minute",
    ("fetch", "ring"): "another queue's: its due messages wait a minute",
    ("fetch", "wake"): "another queue's: its due messages wait a minute",
    ("commit", "open"): "what stays in it only names keys that are gone",
    ("commit", "waiter"): "the waiter looks again by itself within five seconds",
    ("cancel", "waiter"): "the waiter looks again by itself within five seconds",
    ("beat", "waiter"): "the waiter looks again by itself within five seconds",
    ("start", "waiter"): "the waiter looks again by itself within five seconds",
    ("commit", "parked"): "the list of all those held back is looked through by `limit` alone",
    ("limit", "parked"): "that tenant's own; it is put right",
    ("prune", "run"): "it is there, so it stays in the indexes",
    ("prune", "attribute"): "its runs are gone; a search by it finds nothing until it is mended",
    ("beat", "lease"): "a dead consumer's: it goes with the consumer",
}


def keys_met(scene: Scene, call: Callable[[Scene], object]) -> set[str]:
    """Makes a call while the server tells every command; returns the keys in them."""
    prefix = scene.stand.keys.prefix
    told: list[str] = []
    with scene.stand.client.monitor() as monitor:
        call(scene)
        scene.stand.client.echo("over")
        while "over" not in (told or [""])[-1]:
            told.append(monitor.next_command()["command"])
    inside = [line for line in told if not line.upper().startswith(("EVALSHA", "SCRIPT"))]
    found = {
        word[len(prefix) :]
        for line in inside
        for word in line.split(" ")
        if word.startswith(prefix)
    }
    # The pairs in `parked:*` and `throttled` are no keys, and the clock is the test's own.
    return {name for name in found if shape_of(name)} - {"clock"}


def break_key(stand: Stand, name: str, shape: str) -> bytes | None:
    """Gives a key a wrong type; returns what it held."""
    full = stand.keys.prefix + name
    held = stand.client.dump(full)
    stand.client.delete(full)
    if SHAPES[shape].type in ("hash", "stream"):
        stand.client.sadd(full, "broken")
    else:
        stand.client.hset(full, "broken", "1")
    return held


def mend(stand: Stand, name: str, held: bytes | None) -> None:
    full = stand.keys.prefix + name
    stand.client.delete(full)
    if held:
        stand.client.restore(full, 0, held)


def test_every_script_is_called_here() -> None:
    assert sorted(CALLS) == scripts.names()


def test_the_scene_holds_something_of_everything(client: redis.Redis) -> None:
    scene = build(client)
    held = {shape_of(name)[0] for name in scene.stand.names()}
    missing = set(SHAPES) - held - {"waiter", "result", "errors", "solo"}
    scene.stand.clear()
    assert not missing


@pytest.mark.parametrize(
    ("script", "number"),
    [(script, n) for script in sorted(CALLS) for n in range(len(CALLS[script]))],
)
def test_a_key_of_the_wrong_type_changes_nothing_or_harms_itself_alone(
    client: redis.Redis, script: str, number: int
) -> None:
    call = CALLS[script][number]
    scene = build(client)
    was = scene.stand.dump()
    met = keys_met(scene, call)
    now = scene.stand.dump()
    scene.stand.clear()
    undisturbed = {key for key in was.keys() | now if was.get(key) != now.get(key)}
    assert (script, number) in READS_ONLY or undisturbed, "the scene gives this call nothing to do"
    wrong: list[str] = []
    scene = build(client)
    for name in sorted(met):
        refused, fault = attempt(scene, call, script, name, undisturbed)
        wrong += [f"{name}: {fault}"] if fault else []
        if fault or not refused:  # something may have changed: a fresh scene for the next key
            scene.stand.clear()
            scene = build(client)
    scene.stand.clear()
    assert wrong == []


def attempt(
    scene: Scene, call: Callable[[Scene], object], script: str, name: str, undisturbed: set[str]
) -> tuple[bool, str]:
    """Calls with one key broken, then mends it; returns whether it was refused, and the fault."""
    stand, hand, shape = scene.stand, scene.hand, shape_of(name)[0]
    held = break_key(stand, name, shape)
    was, numbers, kept = stand.dump(), (hand.commits, hand.fetches), dict(hand.held)
    try:
        call(scene)
    except ScriptRefused as refusal:
        now = stand.dump()
        mend(stand, name, held)
        (hand.commits, hand.fetches), hand.held = numbers, kept
        changed = sorted(key for key in was.keys() | now if was.get(key) != now.get(key))
        if changed:
            return True, f"{refusal.reason} {refusal.detail}, but these changed: {changed}"
        return True, "" if (script, shape) not in REFUSES_NEVER else "refused for all"
    now = stand.dump()
    if now.get(name, was[name]) != was[name]:
        return False, "written although it is broken"
    changed = {key for key in was.keys() | now if was.get(key) != now.get(key)}
    if undisturbed - changed and (script, shape) not in GOES_ON:
        return False, f"goes on without {sorted(undisturbed - changed)}"
    if shape not in PLACES:
        try:
            places(stand)
        except (AssertionError, redis.ResponseError) as error:
            return False, f"messages are lost: {error}"
    return False, ""


PLACES = {"waiting", "delayed", "suspects", "lease", "letter", "messages", "dead"}
# What hurts one tenant must not stop the fetch of the others.
REFUSES_NEVER = {("fetch", "waiting"), ("fetch", "rate"), ("fetch", "parked"), ("fetch", "join")}
