"""Fixtures of the chaos tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from engine import current
from tests.chaos.fleet import Fleet
from tests.chaos.proxy import Proxy, nothing
from tests.servers import ThrowawayServer


@pytest.fixture
def namespace() -> str:
    return f"c{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def calm_server() -> Iterator[ThrowawayServer]:
    """A server that no test harms."""
    with ThrowawayServer(appendfsync=None) as server:
        yield server


@pytest.fixture
def make_fleet(namespace: str, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets; their processes are ended with the test."""
    made: list[Fleet] = []

    def make(url: str, **options: Any) -> Fleet:
        scratch = tmp_path / f"fleet-{len(made)}"
        scratch.mkdir()
        made.append(Fleet(url, namespace, scratch, **options))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()
    current.set(None)
    dramatiq.set_broker(None)  # type: ignore[arg-type]


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet], calm_server: ThrowawayServer) -> Fleet:
    """A fleet on a server that stays well."""
    return make_fleet(calm_server.url)


@pytest.fixture
def inside(fleet: Fleet) -> Iterator[Fleet]:
    """A fleet with one worker of four threads in this very process."""
    with working(fleet):
        yield fleet


@contextmanager
def working(fleet: Fleet, threads: int = 4) -> Iterator[dramatiq.Worker]:
    """Run a worker of the fleet's engine in this process for the length of a block."""
    worker = dramatiq.Worker(fleet.engine.broker, worker_threads=threads, worker_timeout=100)
    fleet.engine.broker.emit_after("process_boot")
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@pytest.fixture
def proxy(calm_server: ThrowawayServer) -> Iterator[Proxy]:
    with Proxy(calm_server.port) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: Proxy, make_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """A fleet whose every connection goes through the proxy, with one worker in this process."""
    fleet = make_fleet(proxy.url)
    with working(fleet):
        yield fleet
        proxy.rule, proxy.deaf, proxy.delay_s = nothing, False, 0.0
