"""A start waits for replicas where the settings ask for it, and says so if too few answer."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import Settings, build, current, stage
from engine.bootstrap import Engine
from engine.errors import NotReplicated
from engine.workflow import registry
from engine.workflow.run import RunState
from tests.chaos.eventually import eventually
from tests.servers import ThrowawayServer


@pytest.fixture
def master(server_binary: Path) -> Iterator[ThrowawayServer]:
    settings = {"repl-diskless-sync-delay": "0"}
    with ThrowawayServer(server_binary, appendfsync=None, settings=settings) as server:
        yield server


@pytest.fixture
def replica(server_binary: Path, master: ThrowawayServer) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(server_binary, appendfsync=None) as server:
        with server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", master.port)
        eventually(lambda: server.info("replication")["master_link_status"] == "up", 20)
        yield server


@pytest.fixture
def engine_with(master: ThrowawayServer) -> Iterator[Callable[..., Engine]]:
    with registry.isolated() as definitions:
        made: list[Engine] = []

        def make(**settings: object) -> Engine:
            values = Settings(redis_url=master.url, namespace="replicated", **settings)
            made.append(build(values, definitions=definitions, make_current=False))
            return made[-1]

        yield make
        for engine in made:
            engine.close()


def test_a_start_that_the_replica_has_is_one(
    engine_with: Callable[..., Engine], replica: ThrowawayServer
) -> None:
    with current.use(engine_with(wait_replicas=1)):
        runs = [work().send(1), *work().send_many([2, 3])]
    with replica.client() as client:
        for run in runs:
            assert client.hget(f"{{replicated:0}}:run:{run.id}", "state") == b"running"


def test_a_start_that_no_replica_confirms_has_happened_and_is_told(
    engine_with: Callable[..., Engine], replica: ThrowawayServer
) -> None:
    engine = engine_with(wait_replicas=1)
    with current.use(engine), replica.frozen():
        began = time.monotonic()
        with pytest.raises(NotReplicated, match="0 of 1 replicas confirmed within 1,000 ms") as one:
            work().send(1)
        with pytest.raises(NotReplicated) as many:
            work().send_many([2, 3])
        assert 2 <= time.monotonic() - began < 4
    runs = [*one.value.runs, *many.value.runs]
    assert len(runs) == 3
    assert all(engine.view(run).state is RunState.RUNNING for run in runs)
    assert pickle.loads(pickle.dumps(many.value)).runs == many.value.runs


def test_a_key_asks_again_for_the_run_that_started(
    engine_with: Callable[..., Engine], replica: ThrowawayServer
) -> None:
    with current.use(engine_with(wait_replicas=1)):
        with replica.frozen(), pytest.raises(NotReplicated) as refused:
            work().send(1, key="order-17")
        again = work().send(1, key="order-17")
    assert (again.id, again.duplicate) == (refused.value.runs[0], True)


def test_a_short_timeout_of_the_connection_bounds_the_wait(
    engine_with: Callable[..., Engine],
) -> None:
    with current.use(engine_with(wait_replicas=2, redis_timeout="400ms")):
        began = time.monotonic()
        with pytest.raises(NotReplicated, match="0 of 2 replicas confirmed within 200 ms"):
            work().send(1)
        assert time.monotonic() - began < 2


def test_nobody_waits_who_does_not_ask(engine_with: Callable[..., Engine]) -> None:
    with current.use(engine_with()):
        work().send(1)
    with engine_with().store.client as client:
        assert "cmdstat_wait" not in client.info("commandstats")


def work():  # type: ignore[no-untyped-def]
    @stage(name="work")
    def work(number: int) -> int:
        return number

    return work
