"""Ended runs beyond the number that their queue keeps are forgotten, the oldest ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import Idempotency, Retry, Settings, current, stage
from engine.bootstrap import Engine
from engine.maintenance.forget_runs import LEFT_ALONE_MS, forget_beyond
from engine.store.store import Store
from engine.workflow import registry
from engine.workflow.run import Run
from engine.workflow.stage import Stage
from tests.integration.maintenance.conftest import shift, worker_of
from tests.servers import ThrowawayServer


@pytest.fixture
def engine(server: ThrowawayServer, namespace: str, store: Store) -> Iterator[Engine]:
    """An engine whose queue `brief` keeps two completed runs and one failed one, at work."""
    settings = Settings(
        redis_url=server.url,
        namespace=namespace,
        queues={"brief": {"retention": {"completed_count": 2, "failed_count": 1}}},
    )
    with registry.isolated() as definitions:
        made = Engine(settings, definitions=definitions, store=store)
        with current.use(made):
            yield made
        made.close()


def long_ago(engine: Engine, work: Stage[..., int], numbers: range) -> list[Run]:
    """Runs that ended longer ago than runs are left alone, one after the other."""
    worker = worker_of(engine)
    worker.start()
    runs = []
    for number in numbers:
        shift(engine.store, -LEFT_ALONE_MS - 60_000 + number)
        runs.append(work.send(number))
        runs[-1].wait("10s")
    worker.stop()
    shift(engine.store, 0)
    return runs


def forget(engine: Engine) -> int:
    return forget_beyond(engine, engine.store.queues.now_ms())


def kept(engine: Engine, runs: list[Run]) -> list[bool]:
    return [state is not None for state in engine.store.runs.states([run.id for run in runs])]


def test_the_newest_stay(engine: Engine) -> None:
    @stage(queue="brief")
    def work(number: int) -> int:
        return number

    runs = long_ago(engine, work, range(5))
    assert forget(engine) == 3
    assert kept(engine, runs) == [False] * 3 + [True] * 2
    assert [run.result() for run in runs[3:]] == [3, 4]
    assert forget(engine) == 0


def test_what_ended_within_the_hour_stays(engine: Engine) -> None:
    @stage(queue="brief")
    def work(number: int) -> int:
        return number

    worker = worker_of(engine)
    worker.start()
    runs = work.send_many(range(5))
    for run in runs:
        run.wait("10s")
    worker.stop()
    assert forget(engine) == 0
    assert all(kept(engine, runs))


def test_a_queue_without_a_number_keeps_by_age_alone(engine: Engine) -> None:
    @stage(queue="any")
    def work(number: int) -> int:
        return number

    runs = long_ago(engine, work, range(5))
    assert forget(engine) == 0
    assert all(kept(engine, runs))


def test_a_run_that_a_key_or_its_content_started_stays(engine: Engine) -> None:
    @stage(queue="brief", idempotency=Idempotency(window="1h"))
    def work(number: int) -> int:
        return number

    runs = long_ago(engine, work, range(5))
    assert forget(engine) == 0
    assert all(kept(engine, runs))


def test_a_failed_run_stays_as_long_as_its_letter(engine: Engine) -> None:
    @stage(queue="brief", retry=Retry(attempts=1))
    def fail(number: int) -> int:
        raise ValueError(number)

    runs = long_ago(engine, fail, range(4))
    assert forget(engine) == 0
    assert all(kept(engine, runs))
    engine.store.letters.purge("brief")
    assert forget(engine) == 3
    assert kept(engine, runs) == [False] * 3 + [True]
