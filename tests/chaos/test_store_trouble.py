"""A server full, read-only or busy: completions wait in the worker, submits are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from engine.errors import StoreBusy, StoreError, StoreFull
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import send_some
from tests.chaos.test_gentle import check_plain
from tests.servers import ThrowawayServer


@pytest.fixture
def server() -> Iterator[ThrowawayServer]:
    with ThrowawayServer(
        appendfsync="everysec", settings={"busy-reply-threshold": "200"}
    ) as server:
        yield server


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet], server: ThrowawayServer) -> Fleet:
    return make_fleet(server.url)


def test_a_full_server_takes_completions_and_refuses_submits(
    fleet: Fleet, server: ThrowawayServer
) -> None:
    fleet.start()
    runs = [workload.slow.send(1.0) for _ in range(3)]
    fleet.history.accepted(runs)
    send_some(fleet, 8)
    eventually(lambda: len(fleet.ledger.of("slow")) >= 3)
    server.config_set(maxmemory="1mb")
    for refused in (lambda: workload.short.send(1), lambda: fleet.plain["plain"].send(1)):
        with pytest.raises(StoreFull):
            refused()
    fleet.start()  # a worker can come back to a full server too
    fleet.history.wait_ended(30)
    server.config_set(maxmemory="0")
    fleet.history.accepted([workload.short.send(2)])
    fleet.history.wait_ended(5)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)


@pytest.mark.parametrize("outage_s", [4, pytest.param(12, marks=pytest.mark.chaos)])
def test_a_read_only_server_holds_everything_and_loses_nothing(
    fleet: Fleet, server: ThrowawayServer, outage_s: int
) -> None:
    fleet.start()
    fleet.history.accepted([workload.slow.send(0.5) for _ in range(4)])
    send_some(fleet, 4)
    eventually(lambda: len(fleet.ledger.of("slow")) >= 4)
    with server.client() as client, ThrowawayServer(appendfsync=None) as other:
        # A replica of a master that does not exist any more keeps its data and takes no writes.
        client.config_set("replica-serve-stale-data", "yes")
        other.close()
        client.replicaof("127.0.0.1", other.port)
        try:
            with pytest.raises(StoreBusy):
                workload.short.send(1)
            time.sleep(outage_s)  # 12 s are longer than any silence
        finally:
            client.replicaof("NO", "ONE")
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    assert not fleet.history.told("consumer.lost")


def test_a_busy_server_holds_everything_and_loses_nothing(
    fleet: Fleet, server: ThrowawayServer
) -> None:
    fleet.start()
    send_some(fleet, 6)
    eventually(lambda: len(fleet.ledger.read()) > 10)

    def long_script() -> None:
        with server.client() as client, pytest.raises(redis.RedisError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=long_script)
    thread.start()
    eventually(lambda: _busy(server), 5)
    with pytest.raises(StoreError):
        workload.short.send(1)
    with server.client() as client:
        client.script_kill()
    thread.join(5)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)


def _busy(server: ThrowawayServer) -> bool:
    with server.client() as client:
        try:
            client.ping()
        except redis.RedisError as error:
            return "BUSY" in str(error)
    return False
