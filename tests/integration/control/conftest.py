"""An engine on a throwaway server, with a worker in this process, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from dramatiq import Worker

from engine import Settings, build, current
from engine.bootstrap import Engine
from engine.workflow import registry
from tests.servers import ThrowawayServer


@pytest.fixture(scope="package")
def server() -> Iterator[ThrowawayServer]:
    with ThrowawayServer() as started:
        yield started


@pytest.fixture
def engine(server: ThrowawayServer) -> Iterator[Engine]:
    """An engine in a namespace of its own; definitions made in the test are its."""
    with registry.isolated():
        before = current.peek()
        made = build(Settings(redis_url=server.url, namespace=f"t{uuid4().hex[:10]}"))
        try:
            yield made
        finally:
            made.close()
            current.set(before)


@pytest.fixture
def commands(
    engine: Engine, server: ThrowawayServer, clean_environment: pytest.MonkeyPatch
) -> Engine:
    """The commands see the store of the test's engine."""
    clean_environment.setenv("REDIS_URL", server.url)
    clean_environment.setenv("CALLBOARD_NAMESPACE", engine.settings.namespace)
    return engine


@pytest.fixture
def worker(engine: Engine) -> Iterator[Worker]:
    """Started by `worker.start()` once the test has made its definitions."""
    made = Worker(engine.broker, worker_threads=2, worker_timeout=50)
    yield made
    made.stop(timeout=5_000)
