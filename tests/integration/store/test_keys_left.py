"""What stays in a namespace: every key has a shape, its type, and an owner or an end."""

from __future__ import annotations

import redis

from engine.store import scripts
from engine.store.keys import SHAPES
from tests.integration.store.audit import audit, shape_of, strays
from tests.integration.store.stand import Hand, Stand, arrive, end, fork
from tests.integration.store.test_broken_types import CALLS, build

STANDING = {  # life in words: what may stay in an idle namespace without a TTL
    "schema", "order", "token", "queues", "queue", "consumers", "consumer", "reap", "plan", "runs",
    "events", "run",
}  # fmt: skip


def test_in_the_middle_of_its_work_every_key_is_as_its_shape_says(client: redis.Redis) -> None:
    scene = build(client)
    assert strays(scene.stand) == []
    for calls in CALLS.values():
        for call in calls:
            if calls is not CALLS["commit"]:
                call(scene)
    assert strays(scene.stand) == []
    audit(scene.stand)
    scene.stand.clear()


def test_when_all_work_is_done_only_standing_keys_and_ended_runs_stay(
    stand: Stand, hand: Hand
) -> None:
    for number in range(5):
        run = stand.start(fork("0", "1", then="2"), tenant=f"t{number}")
        stand.link.call("wait", [run, f"w{number}", 60_000])
    stand.send(5, delay_ms=10)
    stand.advance(11)
    while deliveries := hand.fetch(10).deliveries:
        for delivery in deliveries:
            position = delivery.id[33:]
            edges = (
                ()
                if delivery.kind == "d"
                else [end()]
                if position == "2"
                else [arrive("2", int(position))]
            )
            hand.end(delivery, edges=edges)
    assert strays(stand) == []
    left = {shape_of(name)[0] for name in stand.names()}
    assert {shape for shape in left if shape not in STANDING} <= {"waiter", "call", "wake"}


def test_when_runs_with_every_kind_of_edge_have_ended_nothing_of_them_stays_for_ever(
    client: redis.Redis,
) -> None:
    """Each call of the scene, then every run is cancelled, and every line is emptied."""
    scene = build(client)
    stand = scene.stand
    for script in ("commit", "start", "signal"):
        for call in CALLS[script]:
            call(scene)
    stand.advance(600_000)
    runs = [run for run in stand.store.runs.all() if stand.state(run)]
    for run in runs:
        stand.store.runs.resume(run)
        stand.store.runs.cancel(run)
    assert {stand.state(run) for run in runs} <= {"completed", "failed", "cancelled", "undoing"}
    last = stand.hand("last", ["q", "b", "s", "other"])
    while deliveries := last.fetch(50).deliveries:
        last.commit(*(last.ending(delivery) for delivery in deliveries))
    ended = {run for run in runs if stand.state(run) in ("completed", "failed", "cancelled")}
    assert len(ended) > 15
    assert strays(stand) == []
    audit(stand)
    held = {run.decode() for run in stand.client.hkeys(stand.key("held"))}
    assert {stand.state(run) for run in held} <= {"failed"}
    for name in stand.names():
        if name.startswith("run:"):
            assert stand.client.pttl(stand.keys.prefix + name) > 0, name
    stand.clear()


def test_every_build_of_every_script_loads(client: redis.Redis) -> None:
    for name in scripts.names():
        for shifted in (False, True):
            script = scripts.load(name, shifted_clock=shifted)
            assert client.script_load(script.source).encode() == script.sha  # type: ignore[arg-type]


def test_a_stand_knows_the_shape_of_every_example() -> None:
    for name, shape in SHAPES.items():
        example = shape.template.format(**dict.fromkeys(shape.fields, "x1"))
        assert shape_of(example) is not None, name
