"""A namespace in the middle of its work, with something of everything in it.

Owns: where the tests of broken keys, kept keys and lost replies play. Must not: check anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import redis

from engine.store.queues import Limits
from tests.integration.store.branching import (
    after,
    child,
    fatal,
    later,
    pages,
    quorum,
    race,
    undo,
    wait,
)
from tests.integration.store.stand import Edge, Hand, Stand, arrive, each, end, fork, join, one


@dataclass
class Scene:
    """A namespace in the middle of its work, and what a call needs to name."""

    stand: Stand
    hand: Hand
    suspect_hand: Hand
    branch_hand: Hand
    runs: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)


def build(client: redis.Redis) -> Scene:
    """Something of everything: waiting, due, throttled, leased, dead, suspect, waited for."""
    stand = Stand(client)
    dead, twin = stand.hand("dead"), stand.hand("twin")
    scene = Scene(stand, stand.hand("c1", q=50), stand.hand("c2", ["s"]), stand.hand("c3", ["b"]))
    hand, store = scene.hand, stand.store
    _leave_attributes(stand, hand)
    for name in ("letter", "join", "each", "chain", "sick", "cancelled"):
        edges = {
            "join": fork("0", "1", then="2"),
            "each": [each("0", [b"a", b"b", b"c"], 2, "1")],
        }.get(name, [one("0")])
        run = name.ljust(32, "0")
        scene.runs[name] = stand.start(edges, tenant="runs", run=run)
    scene.runs["ended"] = stand.start([end()], tenant="runs", run="ended".ljust(32, "0"))
    stand.send(tenant="runs", priority=0)
    kept = {d.id: d for d in hand.fetch(20).deliveries}
    hand.end(kept[scene.runs["letter"] + ":0"], "dead")
    scene.letters["stage"] = scene.runs["letter"] + ":0"
    stand.link.call("wait", [scene.runs["chain"], "w1", 60_000])
    stand.link.call("wait", [scene.runs["sick"], "w2", 60_000])
    store.runs.cancel(scene.runs["cancelled"])
    [scene.letters["plain"]] = stand.send(tenant="dead")
    hand.end(hand.fetch(1).deliveries[0], "dead")
    stand.send(tenant="unknown")
    hand.end(hand.fetch(1).deliveries[0], "unknown")
    stand.send(2, queue="s", tenant="s")
    stand.hand("ghost", ["s"]).fetch(1)
    _die(scene, dead, twin)
    _branch(scene)
    store.lead("leader", 3_600_000)
    store.duties.claim("leader", 1, "prune", 1000)
    store.usage.add("t", "events", 3, once=scene.runs["chain"])
    _call_back(scene)
    _limit(stand)
    stand.send(3, tenant="few")
    stand.send(3, tenant="slow")
    stand.send(2, tenant="t")
    hand.fetch(6)
    hand.fetch(6)
    stand.send(2, tenant="t", delay_ms=50)
    stand.send(2, tenant="t")
    stand.send(1, tenant="t", delay_ms=10_000_000)
    stand.store.transit.enqueue("known-call", [stand.message(digest="taken", ttl_ms=100_000)])
    stand.advance(100)
    return scene


def _leave_attributes(stand: Stand, hand: Hand) -> None:
    """Leaves a run with attributes in the indexes though it is gone."""
    run = stand.start(tenant="runs", run="9" * 32, attributes=("order=2", "vip=true"))
    hand.end(hand.fetch(1).deliveries[0], edges=[end()])
    stand.client.delete(stand.key("run", run=run))


def _call_back(scene: Scene) -> None:
    """Leaves the secret of callbacks, and one that came before its wait."""
    callbacks = scene.stand.store.callbacks
    callbacks.secret()
    callbacks.answer(scene.runs["chain"], "8", b"1", failed=False, until_ms=0)


def _limit(stand: Stand) -> None:
    """Leaves limits of a tenant's slots, of one's rate, and of all."""
    limit = stand.store.queues.limit
    limit("few", Limits(max_concurrent=1, max_per_minute=5))
    limit("slow", Limits(max_per_minute=1))
    limit("*", Limits(max_concurrent=40, weight=2))


def _die(scene: Scene, dead: Hand, twin: Hand) -> None:
    """Leaves silent consumers; the messages of two are guilty if those have died."""
    stand = scene.stand
    stand.send(tenant="guilty", allowed=0)
    twin.fetch(1)
    poison = scene.runs["poison"] = "b0".ljust(32, "0")
    stand.start([one("0", "b")], run=poison, tenant="poison")
    branch = scene.branch_hand
    branch.fetch()
    inner = [wait("0", "go", "1")]
    branch.end(
        f"{poison}:0", edges=[fatal("1", "b"), child("2", inner, "3", "d0" * 16), undo("0", "b")]
    )
    other_twin, other_dead = stand.hand("twin2", ["b"]), stand.hand("dead2", ["b"])
    other_twin.fetch(1)
    living = scene.hand, scene.suspect_hand, branch
    for hand in (*living, dead, other_dead):
        hand.beat()
    for _ in range(11):
        stand.advance(1_000)
        for hand in (*living, dead, other_dead):
            hand.beat()
    dead.fetch(1, idle=True)
    other_dead.fetch(1, idle=True)
    branch.fetch(0)
    for step_ms in (*([1_000] * 9), 900):
        stand.advance(step_ms)
        for hand in living:
            hand.beat()


def _branch(scene: Scene) -> None:
    """Runs with every rarer kind of edge, each about to take its next step."""
    stand, hand, runs = scene.stand, scene.branch_hand, scene.runs
    kid = runs["kid"] = "c0".ljust(32, "0")
    closed = [*race("1", "2", join="3", then="4", queue="b"), wait("2.5", "go", "8")]
    starts = {
        "race": race("1", "2", join="3", then="4", queue="b"),
        "quorum": [quorum("3", 1, 1, "4", (0, 3)), one("1", "b")],
        "closed": closed,
        "lapsed": [*closed, one("9", "b")],
        "inbox": [one("0", "b")],
        "bearer": [one("0", "b")],
        "family": [
            child("0", [one("0", "b")], "1", kid),
            wait("2", "go", "3", 9_000_000),
            one("6", "b"),
        ],
        "book": [one("0.0", "b")],
        "pages": [one("0.0", "b")],
        "joined": [join("2", 1, "b"), one("0", "b")],
        "timed": [("wait", "0", "go", after("1"), later("0", 1, queue="b"))],
        "spoilt": [
            one("0", "b"),
            one("8", "b"),
            one("9", "b"),
            child("5", [wait("0", "go", "1")], "6", "d1" * 16),
        ],
        "undoing": [one("0", "b"), one("1", "b")],
        "ending": [one("1", "b"), one("2", "b")],
    }
    for name, edges in starts.items():
        runs[name] = stand.start(edges, tenant="branch", run=name.encode().hex().ljust(32, "0"))
    stand.advance(2)
    hand.fetch(40)

    def step(run: str, position: str, verb: str = "done", *edges: Edge) -> None:
        assert hand.end(f"{runs[run]}:{position}", verb, edges=edges) == "committed"

    step("closed", "1", "done", arrive("3", 0))
    step("lapsed", "1", "done", arrive("3", 0))
    step("lapsed", "9", "dead")
    scene.letters["lapsed"] = f"{runs['lapsed']}:9"
    stand.store.runs.signal(runs["inbox"], "go", b"1")
    step("pages", "0.0", "done", pages("1", [b"a", b"b"], 2, "2", "0.1", "b"))
    step("joined", "0", "done", arrive("2", 0))
    step("spoilt", "0", "done", undo("0", "b"))
    step("undoing", "0", "done", undo("0", "b"))
    step("undoing", "1", "dead")
    for run, position in (("family", "6"), ("spoilt", "8"), ("ending", "2")):
        stand.store.runs.pause(runs[run])
        step(run, position, "release")
    hand.fetch(40)
    step("pages", "1.1", "done", one("7", "b"))
    runs["halted"] = stand.start([one("0", "b")], tenant="branch", run="a1".ljust(32, "0"))
    stand.store.runs.pause(runs["halted"])
    runs["swept"] = stand.start([one("0", "b")], tenant="branch", run="a2".ljust(32, "0"))
    stand.store.runs.cancel(runs["swept"])
