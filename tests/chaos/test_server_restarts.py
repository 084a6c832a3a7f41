"""The server restarted, killed, and brought back without its last second, under load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import Producer
from tests.chaos.test_gentle import check_plain
from tests.servers import ThrowawayServer


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(appendfsync=getattr(request, "param", "always")) as server:
        yield server


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet], server: ThrowawayServer) -> Fleet:
    return make_fleet(server.url)


@pytest.mark.parametrize(
    "crash", [pytest.param(False, marks=pytest.mark.chaos), True], ids=["restart", "kill"]
)
def test_nothing_is_lost_with_fsync_always(
    fleet: Fleet, server: ThrowawayServer, crash: bool
) -> None:
    fleet.start(processes=2)
    with Producer(fleet):
        for downtime in (0.0, 1.5):
            done = len(fleet.ledger.read())
            eventually(lambda n=done: len(fleet.ledger.read()) > n + 60, 15)
            server.restart(crash=crash, downtime_s=downtime)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)


@pytest.mark.chaos
def test_an_outage_longer_than_any_silence_reaps_nobody(
    fleet: Fleet, server: ThrowawayServer
) -> None:
    fleet.start()
    fleet.start()
    with Producer(fleet):
        eventually(lambda: len(fleet.ledger.read()) > 30, 15)
    with server.frozen():
        time.sleep(12)
    with Producer(fleet):
        done = len(fleet.ledger.read())
        eventually(lambda: len(fleet.ledger.read()) > done + 30, 15)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    assert not fleet.history.told("consumer.lost")


def test_a_server_that_lost_its_last_second_leaves_nothing_stuck(
    fleet: Fleet, server: ThrowawayServer
) -> None:
    fleet.start(processes=2)
    with Producer(fleet):
        eventually(lambda: len(fleet.ledger.read()) > 60, 15)
        kept = _log_of(server).stat().st_size
        time.sleep(1.5)
        server.kill()
        with _log_of(server).open("r+b") as log:
            log.truncate(kept)
        server.start()
        fleet.history.forget_events()
        done = len(fleet.ledger.read())
        eventually(lambda: len(fleet.ledger.read()) > done + 60, 15)
    fleet.history.wait_ended(40)
    fleet.history.check(gentle=False, lossy=True)


def _log_of(server: ThrowawayServer) -> Path:
    """The file of the append-only log that grows."""
    return next((server.directory / "appendonlydir").glob("*.incr.aof"))
