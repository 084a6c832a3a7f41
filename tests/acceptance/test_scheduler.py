"""`callboard scheduler`, the process: its duties are begun at once, and it leaves in good order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from dramatiq import Worker

from engine import Settings
from engine.bootstrap import Engine
from engine.maintenance.duties import DUTIES, register
from engine.store.store import Store
from engine.workflow import registry
from tests.servers import ThrowawayServer


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine whose worker does the duties."""
    with ThrowawayServer(appendfsync=None) as server, registry.isolated() as definitions:
        settings = Settings(
            redis_url=server.url, namespace=f"t{uuid4().hex[:12]}", tracing_sample_ratio=0.0
        )
        made = Engine(settings, definitions=definitions)
        register(made)
        worker = Worker(made.broker, worker_threads=2, worker_timeout=100)
        worker.start()
        yield made
        worker.stop()
        made.close()


@pytest.fixture
def scheduler(engine: Engine) -> Iterator[subprocess.Popen[bytes]]:
    url = engine.settings.redis_url
    assert url is not None
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("CALLBOARD_", "REDIS_"))},
        "REDIS_URL": url.get_secret_value(),
        "CALLBOARD_NAMESPACE": engine.settings.namespace,
        "OTEL_SDK_DISABLED": "true",
    }
    command = [sys.executable, "-m", "engine.cli", "scheduler"]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait(5)


def until(true: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def completed(store: Store) -> set[str]:
    records = store.runs.read_many(list(store.runs.all()))
    return {record.pipeline for record in records if record and record.state == "completed"}


def test_a_scheduler_has_every_duty_done_and_leaves_at_sigterm(
    engine: Engine, scheduler: subprocess.Popen[bytes]
) -> None:
    until(lambda: completed(engine.store) == {duty.stage_name for duty in DUTIES})
    leader = engine.store.leader()
    assert leader is not None
    assert leader[0].split(":")[1] == str(scheduler.pid)

    scheduler.terminate()

    assert scheduler.wait(10) == 0
    given_up = engine.store.leader()
    assert given_up is not None
    assert given_up[2] <= 0
