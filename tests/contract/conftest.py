"""Fixtures of the conformance suite: each test runs on the stock broker and on ours.

Owns: one throwaway server for the session, and brokers in a namespace of their own for each test.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.rate_limits.backends import RedisBackend as RateLimitBackend
from dramatiq.results.backends import RedisBackend as ResultBackend

from tests.contract.brokers import NAMES, make_broker
from tests.servers import ThrowawayServer

WORKER_TIMEOUT_MS = 50
JOIN_MS = 15_000


def eventually(true: Callable[[], Any], timeout_s: float = 10.0, what: str = "") -> Any:
    """Wait until `true()` gives something true, and give it; fail when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or 'the condition'}"
        time.sleep(0.01)
    return value


def finish(broker: Any, worker: dramatiq.Worker, *queues: str) -> None:
    """Wait until the queues (default: `default`) are empty and the worker has nothing in hand."""
    for queue in queues or ("default",):
        broker.join(queue, timeout=JOIN_MS)
    worker.join()


@contextmanager
def running(broker: Any, *, threads: int = 4, prefetch: int | None = None) -> Iterator[Any]:
    """Run a worker of `broker` in this process for the length of a block."""
    worker = dramatiq.Worker(broker, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=threads)
    if prefetch is not None:
        worker.queue_prefetch = prefetch
    broker.emit_after("process_boot")  # as the `dramatiq` command does in each worker process
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@pytest.fixture(scope="session")
def server() -> Iterator[ThrowawayServer]:
    """One server for the whole session; tests keep apart by namespace."""
    with ThrowawayServer(appendfsync=None) as running_server:
        yield running_server


@pytest.fixture
def client(server: ThrowawayServer) -> Iterator[redis.Redis]:
    """A plain client of the server."""
    with server.client() as connected:
        yield connected


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> str:
    """The broker under test: `stock` or `callboard`."""
    return str(request.param)


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make(kind: str, server: ThrowawayServer, namespace: str) -> Iterator[Callable[..., Any]]:
    """A function that makes brokers of the kind under test; they are closed at the end."""
    made: list[Any] = []

    def build(**options: Any) -> Any:
        broker = make_broker(kind, server.url, namespace=namespace, **options)
        dramatiq.set_broker(broker)
        made.append(broker)
        return broker

    yield build
    for broker in made:
        broker.close()


@pytest.fixture
def broker(make: Callable[..., Any]) -> Any:
    """The broker under test with Dramatiq's default middleware."""
    return make()


@pytest.fixture
def results(server: ThrowawayServer, namespace: str) -> ResultBackend:
    """A result backend in the test's namespace."""
    return ResultBackend(url=server.url, namespace=f"{namespace}-results")


@pytest.fixture
def rate_limits(server: ThrowawayServer) -> RateLimitBackend:
    """A rate limiter backend; its keys are the test's own business."""
    return RateLimitBackend(url=server.url)
