"""Pytest plugin with the fixtures that Dramatiq's own test modules expect, on a throwaway server.

Owns: those fixtures, and leaving out the tests listed in `exceptions.py`. The modules ask for a
`stub_broker` where any broker will do: here that is a Redis broker too, the one under test. The
plugin reads two environment variables that `upstream.py` sets: CONFORMANCE_BROKER and
CONFORMANCE_PORT.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers import redis as stock_module
from dramatiq.rate_limits.backends import RedisBackend as RateLimitRedisBackend
from dramatiq.results.backends import RedisBackend as ResultRedisBackend

from tests.contract.brokers import broker_class
from tests.contract.exceptions import left_out

BROKER = os.environ.get("CONFORMANCE_BROKER", "stock")
PORT = int(os.environ.get("CONFORMANCE_PORT", "0"))
URL = f"redis://127.0.0.1:{PORT}/0"
WORKER_TIMEOUT_MS = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--with-exceptions`: run the listed tests too, to see which of them pass by now."""
    parser.addoption("--with-exceptions", action="store_true", default=False)


def pytest_configure() -> None:
    """Put the broker under test, and the throwaway server's port, in place of the defaults."""
    _default_port_is_ours()
    stock_module.RedisBroker = broker_class(BROKER)  # before the modules import the name


def _default_port_is_ours() -> None:
    # Two upstream tests connect to 127.0.0.1 without a port, which means 6379.
    original = redis.Connection.__init__

    def connect(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) < 2 and kwargs.get("port", 6379) == 6379:
            kwargs["port"] = PORT
        original(self, *args, **kwargs)

    redis.Connection.__init__ = connect  # type: ignore[method-assign]


def _name(item: pytest.Item) -> str:
    module = item.nodeid.split("::")[0].rpartition("/")[2].removesuffix(".py")
    return f"{module}::{item.name.partition('[')[0]}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the listed tests; a listed test that does not exist is an error."""
    if config.getoption("--with-exceptions"):
        return
    excepted = left_out(BROKER)
    names = {_name(item) for item in items}
    modules = {name.partition("::")[0] for name in names}
    stale = [t for t in excepted if t not in names and t.partition("::")[0] in modules]
    if stale and all("::" not in arg for arg in config.args):
        raise pytest.UsageError(f"exceptions name tests that do not exist: {', '.join(stale)}")
    gone = [item for item in items if _name(item) in excepted]
    items[:] = [item for item in items if _name(item) not in excepted]
    config.hook.pytest_deselected(items=gone)


class Failures(dramatiq.Middleware):
    """Keeps the exceptions of rejected messages by queue: the stub broker's `join` raises them."""

    def __init__(self) -> None:
        self.by_queue: dict[str, list[BaseException]] = {}

    def before_nack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        """Keep the exception; it is cleared from the message once this is over."""
        error = message._exception or RuntimeError("message failed with no exception")
        self.by_queue.setdefault(message.queue_name, []).append(error)


def _under_test(*, fails_fast: bool) -> Any:
    failures = Failures()

    class UnderTest(broker_class(BROKER)):  # type: ignore[misc]
        """The broker under test; `join` also takes the stub broker's `fail_fast`."""

        def join(self, queue_name: str, *, fail_fast: bool = fails_fast, **options: Any) -> None:
            super().join(queue_name, **options)
            if fail_fast and failures.by_queue.get(queue_name):
                raise failures.by_queue[queue_name][0] from None

    broker = UnderTest(url=URL)
    broker.add_middleware(failures)
    return broker


@pytest.fixture
def clean_server() -> Iterator[redis.Redis]:
    """A client of the server, emptied: the modules share fixed key names."""
    with redis.Redis(host="127.0.0.1", port=PORT) as client:
        client.flushall()
        yield client


def _global(broker: Any) -> Iterator[Any]:
    dramatiq.set_broker(broker)
    broker.emit_after(
        "process_boot"
    )  # what the `dramatiq` command does: TimeLimit starts its watch
    yield broker
    broker.close()


def _working(broker: Any) -> Iterator[dramatiq.Worker]:
    worker = dramatiq.Worker(broker, worker_timeout=WORKER_TIMEOUT_MS)
    worker.start()
    yield worker
    worker.stop()


@pytest.fixture
def redis_broker(clean_server: redis.Redis) -> Iterator[Any]:
    """The broker under test, as Dramatiq's global broker."""
    yield from _global(_under_test(fails_fast=False))


@pytest.fixture
def stub_broker(clean_server: redis.Redis) -> Iterator[Any]:
    """The broker under test, with the stub broker's habit of raising in `join`."""
    yield from _global(_under_test(fails_fast=True))


@pytest.fixture
def redis_worker(redis_broker: Any) -> Iterator[dramatiq.Worker]:
    """A running worker of the broker under test."""
    yield from _working(redis_broker)


@pytest.fixture
def stub_worker(stub_broker: Any) -> Iterator[dramatiq.Worker]:
    """A running worker of the broker under test."""
    yield from _working(stub_broker)


@pytest.fixture
def redis_result_backend(clean_server: redis.Redis) -> ResultRedisBackend:
    """A result backend on the throwaway server."""
    return ResultRedisBackend(url=URL)


@pytest.fixture
def result_backend(redis_result_backend: ResultRedisBackend) -> ResultRedisBackend:
    """The Redis result backend; the others do not touch the broker's server."""
    return redis_result_backend


@pytest.fixture
def rate_limiter_backend(clean_server: redis.Redis) -> RateLimitRedisBackend:
    """The Redis rate limiter backend; the others do not touch the broker's server."""
    return RateLimitRedisBackend(url=URL)
