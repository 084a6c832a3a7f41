"""Two schedulers: nothing twice, nothing missed, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from engine import Settings
from engine.bootstrap import Engine
from engine.maintenance import scheduler
from engine.maintenance.duties import register
from engine.maintenance.duty import TENANT
from engine.store.store import Store
from engine.workflow import registry
from tests.integration.maintenance.conftest import worker_of
from tests.integration.maintenance.scheduler_app import PERIODS_MS, quick_duties
from tests.servers import ThrowawayServer

LEASE_MS = 600


@pytest.fixture
def plain_engine(server: ThrowawayServer, namespace: str) -> Iterator[Engine]:
    """An engine with the production build of the scripts, as the processes have, and a worker."""
    settings = Settings(redis_url=server.url, namespace=namespace, tracing_sample_ratio=0.0)
    with registry.isolated() as definitions:
        made = Engine(settings, definitions=definitions)
        register(made, quick_duties())
        worker = worker_of(made)
        worker.start()
        yield made
        worker.stop()
        made.close()


Schedulers = dict[int, subprocess.Popen[bytes]]


@pytest.fixture
def begin(
    server: ThrowawayServer, namespace: str, tmp_path: Path
) -> Iterator[Callable[[int], Schedulers]]:
    """Starts scheduler processes and waits until each leads or follows."""
    started: Schedulers = {}
    module = "tests.integration.maintenance.scheduler_app"
    command = [sys.executable, "-m", module, server.url, namespace, str(LEASE_MS)]

    def start(number: int) -> Schedulers:
        logs = [tmp_path / f"scheduler-{n}.log" for n in range(number)]
        for log in logs:
            with log.open("wb") as stderr:
                process = subprocess.Popen(command, stderr=stderr)
            started[process.pid] = process
        until(lambda: all("scheduler." in log.read_text() for log in logs), timeout_s=30)
        return dict(started)

    yield start
    for process in started.values():
        process.kill()
        process.wait(5)


def leader_pid(store: Store) -> int | None:
    found = store.leader()
    return int(found[0].split(":")[1]) if found and found[2] > 0 else None


def until(true: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def done_at(store: Store) -> dict[str, list[int]]:
    """The nominal times of the completed runs, by duty."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in store.runs.read_many(list(store.runs.all())):
        assert record is not None
        assert (record.tenant, record.state) == (TENANT, "completed")
        found[record.pipeline.removeprefix("maintenance.")].append(int(record.key or ""))
    return {duty: sorted(times) for duty, times in found.items()}


def test_when_the_leader_is_killed_another_goes_on_and_no_duty_is_doubled_or_missed(
    plain_engine: Engine, begin: Callable[[int], Schedulers]
) -> None:
    store = plain_engine.store
    schedulers = begin(3)
    for _ in range(2):
        time.sleep(1.5)
        leader = leader_pid(store)
        assert leader is not None
        os.kill(leader, signal.SIGKILL)
        schedulers.pop(leader).wait(5)
        until(lambda dead=leader: leader_pid(store) not in (None, dead), timeout_s=3)
    time.sleep(2.5)
    plain_engine.broker.join("maintenance", timeout=5_000)

    times = done_at(store)
    assert set(times) == set(PERIODS_MS)
    for duty, period_ms in PERIODS_MS.items():
        # A lease and a renewal take less than the shorter period: no time passes unmade.
        steps = [after - before for before, after in pairwise(times[duty])]
        assert set(steps) == {period_ms}, (duty, times[duty])


def test_a_leader_that_is_stopped_hands_over_at_once(
    plain_engine: Engine, begin: Callable[[int], Schedulers]
) -> None:
    store = plain_engine.store
    schedulers = begin(2)
    first = schedulers.pop(leader_pid(store) or 0)
    ((second, last),) = schedulers.items()

    first.terminate()
    until(lambda: leader_pid(store) == second, timeout_s=2)
    assert first.wait(5) == 0

    last.terminate()
    assert last.wait(5) == 0
    assert leader_pid(store) is None


def test_a_scheduler_waits_for_its_store_and_goes_on(namespace: str) -> None:
    with ThrowawayServer(appendfsync=None) as own, registry.isolated() as definitions:
        settings = Settings(
            redis_url=own.url, namespace=namespace, tracing_sample_ratio=0.0, redis_timeout="500ms"
        )
        engine = Engine(settings, definitions=definitions)
        stop = threading.Event()
        serving = threading.Thread(
            target=scheduler.run,
            args=(engine, stop),
            kwargs={"duties": quick_duties(), "lease_ms": LEASE_MS},
        )
        serving.start()
        try:
            until(lambda: engine.store.queues.names() == ["maintenance"])
            own.restart(downtime_s=1.0)  # without a file: all is gone
            until(lambda: engine.store.queues.names() == ["maintenance"])
        finally:
            stop.set()
            serving.join(10)
        assert not serving.is_alive()
        engine.close()
