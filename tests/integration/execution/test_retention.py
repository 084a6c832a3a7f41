"""Retention: a run lives as long as its pipeline says, and never shorter than its key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import Pipeline, Settings, build, current, stage
from engine.bootstrap import Engine
from engine.workflow import registry
from tests.servers import ThrowawayServer

DAY_MS = 86_400_000


@pytest.fixture
def engine(calm_server: ThrowawayServer, namespace: str) -> Iterator[Engine]:
    with registry.isolated() as definitions:
        settings = Settings(redis_url=calm_server.url, namespace=namespace)
        engine = build(settings, definitions=definitions, make_current=False)
        with current.use(engine):
            yield engine
        engine.close()


def kept_ms(engine: Engine, key: str | None) -> int:
    @stage
    def nothing(number: int) -> int:
        return number

    run = Pipeline("brief", nothing, retention="1s").start(1, key=key)
    name = engine.store.links.keys.name("run", run=run.id)
    return int(engine.store.links.command("HGET", name, "keep"))


def test_a_run_is_kept_as_long_as_its_pipeline_says(engine: Engine) -> None:
    assert kept_ms(engine, None) == 1_000


def test_a_key_pins_the_result_of_its_run_for_its_own_life(engine: Engine) -> None:
    assert kept_ms(engine, "order-17") == DAY_MS
