"""A server that answers with errors of its own: finished work waits in the worker, and goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from engine.errors import StoreBusy, StoreUnreachable
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import send_some
from tests.chaos.proxy import Fault, Proxy, nothing
from tests.chaos.test_gentle import check_plain
from tests.servers import ThrowawayServer

REFUSALS = (
    b"CLUSTERDOWN The cluster is down",
    b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"TRYAGAIN Multiple keys request during rehashing of slot",
    b"READONLY You can't write against a read only replica.",
    b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    b"LOADING Redis is loading the dataset in memory",
)


def refusing(line: bytes) -> Callable[[str, int], Fault | None]:
    """Scripts and waits are answered with an error, as by a server that fails over or loads."""

    def rule(name: str, _number: int) -> Fault | None:
        return line if name.islower() or name == "BLPOP" else None

    return rule


def test_a_worker_holds_while_its_server_refuses_and_goes_on(behind: Fleet, proxy: Proxy) -> None:
    behind.engine.store.links.patience_ms = 200
    send_some(behind, 4)
    for line in REFUSALS:
        begun = len(behind.ledger.of("slow")) + 3
        behind.history.accepted(workload.slow.send_many([0.2] * 3))
        eventually(lambda n=begun: len(behind.ledger.of("slow")) >= n, 10, line)
        proxy.rule = refusing(line)
        with pytest.raises(StoreBusy, match=line.split()[0].decode()):
            workload.short.send(1)
        cuts, ended = proxy.cuts["commit"] + 2, begun + 3
        eventually(lambda n=ended: len(behind.ledger.of("slow")) >= n, 10, "they end meanwhile")
        eventually(lambda n=cuts: proxy.cuts["commit"] >= n, 10, "the commit is sent again")
        proxy.rule = nothing
        behind.history.wait_ended(10)
    check_plain(behind, gentle=True)
    behind.history.check(gentle=True)


@pytest.fixture
def slow_to_load() -> Iterator[ThrowawayServer]:
    """A server that takes about two seconds to load what it holds."""
    settings = {"loading-process-events-interval-bytes": "1024"}
    with ThrowawayServer(appendfsync="always", settings=settings) as server:
        with server.client() as client:
            client.execute_command("DEBUG", "POPULATE", "2000", "filler", "100")
            client.bgrewriteaof()
            eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        server.settings["key-load-delay"] = "1000"  # microseconds a key of the snapshot
        yield server


def test_a_server_that_loads_for_long_loses_nothing(
    make_fleet: Callable[..., Fleet], slow_to_load: ThrowawayServer
) -> None:
    fleet, server = make_fleet(slow_to_load.url), slow_to_load
    fleet.engine.store.links.patience_ms = 200
    fleet.start()
    fleet.history.accepted(workload.slow.send_many([0.5] * 4))
    send_some(fleet, 4)
    eventually(lambda: len(fleet.ledger.of("slow")) >= 4)
    restart = threading.Thread(target=server.restart, kwargs={"crash": True})
    restart.start()
    try:
        eventually(lambda: _loads(server), 5, "it loads")
        with pytest.raises(StoreUnreachable, match="loading"):
            workload.short.send(1)  # its first try was lost with the connection
        with pytest.raises(StoreBusy, match="LOADING"):
            workload.short.send(1)
    finally:
        restart.join(20)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    assert not fleet.history.told("consumer.lost")


def _loads(server: ThrowawayServer) -> bool:
    with server.client() as client:
        try:
            client.ping()
        except redis.BusyLoadingError:
            return True
        except redis.RedisError:
            return False
    return False
