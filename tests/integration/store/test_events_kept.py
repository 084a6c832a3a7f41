"""The event stream keeps about as many entries as the settings say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from engine import Settings
from engine.bootstrap import Engine
from engine.errors import OptionInvalid
from engine.store import scripts
from tests.integration.store.stand import Stand

# Redis trims whole nodes of the stream; a node holds 100 entries by default.
NODE = 100


@pytest.fixture
def brief(client: redis.Redis) -> Iterator[Stand]:
    stand = Stand(client, events_kept=200)
    yield stand
    stand.clear()


def length_after(stand: Stand, entries: int) -> int:
    for _ in range(entries):
        stand.start()
    return int(stand.client.xlen(stand.key("events")))


def test_what_lies_beyond_the_length_is_trimmed_as_facts_are_told(brief: Stand) -> None:
    assert 200 <= length_after(brief, 450) <= 200 + NODE


def test_nothing_is_trimmed_below_the_length(stand: Stand) -> None:
    assert length_after(stand, 450) == 450


def test_an_engine_gives_its_store_the_length_of_its_settings(client: redis.Redis) -> None:
    port = client.connection_pool.connection_kwargs["port"]
    url = f"redis://127.0.0.1:{port}/0"
    engine = Engine(Settings(redis_url=url, namespace="length", event_stream_length=777))
    source = engine.store.links.script("commit").source
    engine.close()
    assert b"EVENTS_KEPT = 777" in source


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "100", "1' redis.call('FLUSHALL') --"])
def test_nothing_but_a_number_enters_a_script(value: object) -> None:
    with pytest.raises(OptionInvalid, match="event_stream_length"):
        scripts.load("commit", events_kept=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", scripts.names())
def test_a_length_changes_nothing_else_of_a_script(name: str) -> None:
    usual = scripts.load(name).source
    other = scripts.load(name, events_kept=777).source
    assert other.replace(b"EVENTS_KEPT = 777", b"EVENTS_KEPT = 100000") == usual
    assert b"{events_kept}" not in usual
