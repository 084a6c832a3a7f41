"""Retention: a run lives as long as its pipeline or queue says, and never shorter than its key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from operator import or_
from typing import Any

import dramatiq
import pytest

from engine import Pipeline, Retry, Settings, build, current, stage
from engine.bootstrap import Engine
from engine.workflow import registry
from engine.workflow.run import Run
from tests.servers import ThrowawayServer

DAY_MS = 86_400_000


@pytest.fixture
def engine(calm_server: ThrowawayServer, namespace: str) -> Iterator[Engine]:
    with registry.isolated() as definitions:
        settings = Settings(
            redis_url=calm_server.url,
            namespace=namespace,
            dead_retention="20d",
            queues={
                "brief": {"retention": {"completed_age": "2s", "failed_age": "1h", "dead_age": 0}},
                "careful": {"retention": {"failed_age": "1h", "dead_age": "3d"}},
                "patient": {"retention": {"failed_age": "90d"}},
            },
        )
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


def left_ms(engine: Engine, run: Run) -> int:
    return int(engine.store.links.command("PTTL", engine.store.links.keys.name("run", run=run.id)))


def ended(engine: Engine, *queues: str, fails: bool, **options: Any) -> Run:
    """A run through stages in these queues, whose last one may fail."""

    def work(number: int) -> int:
        if fails and len(seen) == len(queues) - 1:
            raise ValueError(number)
        seen.append(number)
        return number

    seen: list[int] = []
    stages = [
        stage(queue=queue, name=f"{queue}-{at}", retry=Retry(attempts=1))(work)
        for at, queue in enumerate(queues)
    ]
    flow = stages[0] if len(stages) == 1 else reduce(or_, stages)
    with worker_of(engine):
        run = Pipeline("flow", flow, **options).start(1)
        run.wait("10s")
    return run


@contextmanager
def worker_of(engine: Engine) -> Iterator[None]:
    worker = dramatiq.Worker(engine.broker, worker_threads=1, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


SECOND_MS, HOUR_MS = 1_000, 3_600_000


@pytest.mark.parametrize(
    ("queues", "fails", "options", "expected_ms"),
    [
        (["brief"], False, {}, 2 * SECOND_MS),
        (["brief", "other"], False, {}, 2 * SECOND_MS),
        (["other", "brief"], False, {}, DAY_MS),
        (["brief"], False, {"retention": "1h"}, HOUR_MS),
        (["brief"], True, {}, HOUR_MS),
        (["brief"], True, {"retention": "2d"}, 2 * DAY_MS),
        (["careful"], True, {}, 3 * DAY_MS),
        (["brief", "careful"], True, {}, 3 * DAY_MS),
        (["patient"], True, {}, 20 * DAY_MS),
        (["other"], True, {}, 20 * DAY_MS),
    ],
)
def test_an_ended_run_is_kept_as_the_queue_it_began_in_says(
    engine: Engine, queues: list[str], fails: bool, options: dict[str, Any], expected_ms: int
) -> None:
    run = ended(engine, *queues, fails=fails, **options)
    assert engine.store.runs.state(run.id)[0] == ("failed" if fails else "completed")
    assert expected_ms - 2 * SECOND_MS < left_ms(engine, run) <= expected_ms


def test_a_cancelled_run_is_kept_as_a_completed_one(engine: Engine) -> None:
    @stage(queue="brief")
    def work(number: int) -> int:
        return number

    run = work.send(1)
    run.cancel()
    assert 0 < left_ms(engine, run) <= 2 * SECOND_MS
