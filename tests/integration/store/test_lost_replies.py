"""Lost replies: a call that was carried out and is sent again, word for word, changes no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import redis

from engine.store.connection import Link
from tests.integration.store.audit import audit, shape_of, strays
from tests.integration.store.scene import build
from tests.integration.store.stand import Stand
from tests.integration.store.test_broken_types import CALLS

AT_LEAST_ONCE = {
    ("signal", 1): "a sender without an id of its own is heard again",
    ("signal", 2): "a sender without an id of its own is heard again",
    **{("limit", number): "told again; the limits are the same" for number in range(3)},
}
TIMES = {"consumers", "consumer", "reap", "leader", "solo", "waiters"}
"""Shapes in which a later call tells a later time, and no more."""


def books(stand: Stand) -> dict[str, object]:
    """What every key holds but for the time of the last call."""
    dump = stand.dump()
    return {name: held for name, held in dump.items() if shape_of(name)[0] not in TIMES}


def called(
    monkeypatch: pytest.MonkeyPatch, scene: Any, script: str, number: int
) -> list[tuple[Link, Sequence[tuple[str, Sequence[Any]]]]]:
    """Makes a call; returns what went over the wire for it."""
    sent: list[tuple[Link, Sequence[tuple[str, Sequence[Any]]]]] = []
    plain = Link.calls

    def listening(link: Link, batch: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        sent.append((link, list(batch)))
        return plain(link, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Link, "calls", listening)
        CALLS[script][number](scene)
    return sent


@pytest.mark.parametrize(
    ("script", "number"),
    [(script, n) for script in sorted(CALLS) for n in range(len(CALLS[script]))],
)
def test_a_call_that_is_sent_again_changes_nothing_more(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, script: str, number: int
) -> None:
    scene = build(client)
    sent = called(monkeypatch, scene, script, number)
    assert {name for _, batch in sent for name, _ in batch} == {script}
    before = books(scene.stand)
    for link, batch in sent:
        link.calls(batch)
    after = books(scene.stand)
    changed = {name for name in before.keys() | after if before.get(name) != after.get(name)}
    assert bool(changed) == ((script, number) in AT_LEAST_ONCE), changed
    audit(scene.stand)
    assert strays(scene.stand) == []
    scene.stand.clear()
