"""What the duties do, each through a worker, as a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine import Retry, current, stage
from engine.bootstrap import Engine
from engine.maintenance.duties import DUTIES, register
from engine.workflow.stage import Stage
from tests.integration.maintenance.conftest import shift, worker_of

DAY_MS = 86_400_000


@pytest.fixture
def working(engine: Engine) -> Iterator[Engine]:
    worker = worker_of(engine)
    worker.start()
    yield engine
    worker.stop()


@pytest.fixture
def duties(engine: Engine) -> dict[str, Stage[[int], Any]]:
    return register(engine)


def test_registering_twice_and_on_two_engines_is_harmless(engine: Engine) -> None:
    register(engine)
    stages = register(engine)

    assert set(stages) == {duty.name for duty in DUTIES}
    assert "maintenance" in engine.broker.get_declared_queues()
    assert {s.name for s in stages.values()} <= set(engine.broker.actors)


def test_importing_the_duties_declares_nothing() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from engine import current; import engine.maintenance.duties\n"
        "from engine.workflow import registry\n"
        "assert current.peek() is None and not registry.current().stages\n"
        "assert 'apscheduler' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_runs_whose_record_is_gone_leave_the_index(
    duties: dict[str, Stage[[int], Any]], working: Engine
) -> None:
    @stage
    def work(n: int) -> int:
        return n

    runs = work.send_many([1, 2, 3])
    for run in runs:
        run.wait("10s")
    keys = working.store.links.keys
    working.store.links.command("DEL", keys.name("run", run=runs[1].id))

    report = duties["prune-runs"].send(0).result("10s")

    assert report["pruned"] == 1
    assert runs[1].id not in working.store.runs.newest()
    assert {runs[0].id, runs[2].id} <= set(working.store.runs.newest())


def test_dead_letters_are_purged_after_thirty_days_and_not_before(
    duties: dict[str, Stage[[int], Any]], working: Engine
) -> None:
    @stage(queue="q", retry=Retry(attempts=1))
    def fail(n: int) -> int:
        raise ValueError(n)

    letters = working.store.letters
    shift(working.store, -31 * DAY_MS)
    old = fail.send(1)
    old.wait("10s")
    shift(working.store, -29 * DAY_MS)
    young = fail.send(2)
    young.wait("10s")
    shift(working.store, 0)

    assert duties["purge-letters"].send(0).result("10s") == {"purged": 1}
    assert [message.partition(":")[0] for message in letters.newest("q")] == [young.id]


def test_depth_and_age_of_the_queues_are_sampled(
    duties: dict[str, Stage[[int], Any]], working: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    @stage(queue="waiting-room")
    def wait_here(n: int) -> int:
        return n

    sampled: dict[tuple[str, str], tuple[int, int]] = {}
    monkeypatch.setattr(
        working.instruments,
        "sampled",
        lambda queue, state, depth, oldest_ms=0: sampled.update(
            {(queue, state): (depth, oldest_ms)}
        ),
    )
    assert current.get() is working
    shift(working.store, -90_000)
    wait_here.send(0).wait("10s")
    working.store.queues.pause("waiting-room")
    wait_here.send_many([1, 2, 3])
    shift(working.store, 0)

    report = duties["sample-queues"].send(0).result("10s")

    assert report["deepest"] == 3
    depth, oldest_ms = sampled["waiting-room", "waiting"]
    assert depth == 3
    assert 89_000 < oldest_ms < 100_000
    assert sampled["waiting-room", "running"] == (0, 0)
