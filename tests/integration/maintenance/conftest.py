"""Fixtures of the maintenance tests: one server, and an engine and a moved clock a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from engine import Settings, current
from engine.bootstrap import Engine
from engine.store.store import Store, connect
from engine.workflow import registry
from tests.servers import ThrowawayServer


@pytest.fixture(scope="session")
def server() -> Iterator[ThrowawayServer]:
    with ThrowawayServer(appendfsync=None) as running:
        yield running


@pytest.fixture
def namespace() -> str:
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def store(server: ThrowawayServer, namespace: str) -> Iterator[Store]:
    """A store whose scripts have a clock that `shift` moves."""
    connected = connect(server.url, namespace=namespace, shifted_clock=True)
    yield connected
    connected.close()


@pytest.fixture
def engine(server: ThrowawayServer, namespace: str, store: Store) -> Iterator[Engine]:
    """An engine over that store, with definitions of its own."""
    settings = Settings(redis_url=server.url, namespace=namespace, tracing_sample_ratio=0.0)
    with registry.isolated() as definitions:
        made = Engine(settings, definitions=definitions, store=store)
        with current.use(made):
            yield made
        made.close()


def shift(store: Store, by_ms: int) -> None:
    """Moves the clock of the scripts, forwards or back, from the server's own."""
    store.links.command("SET", store.links.keys.prefix + "clock", by_ms)


def worker_of(engine: Engine) -> Any:
    from dramatiq import Worker

    return Worker(engine.broker, worker_threads=2, worker_timeout=100)
