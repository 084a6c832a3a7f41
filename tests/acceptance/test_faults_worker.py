"""`callboard worker` under kills: its processes come back and everything ends once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.chaos import workload
from tests.chaos.conftest import calm_server, fleet, make_fleet, namespace
from tests.chaos.eventually import eventually
from tests.chaos.fleet import ROOT, Fleet
from tests.chaos.load import Producer
from tests.servers import ThrowawayServer

__all__ = ["calm_server", "fleet", "make_fleet", "namespace"]


@pytest.fixture
def supervised(
    fleet: Fleet,
    calm_server: ThrowawayServer,
    namespace: str,
) -> Iterator[Fleet]:
    """A fleet whose workers are those of one `callboard worker`."""
    log = fleet.scratch / "supervisor.log"
    environment = {
        **fleet.environment,
        "REDIS_URL": calm_server.url,
        "CALLBOARD_NAMESPACE": namespace,
    }
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "engine.cli",
                "worker",
                "tests.chaos.workload",
                "-p",
                "2",
                "-t",
                "4",
            ],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    pids: set[int] = set()
    try:
        eventually(lambda: len(fleet.engine.store.queues.consumers()) == 2, 20, log.read_text)
        yield fleet
        pids = {c.pid for c in fleet.engine.store.queues.consumers()}
        supervisor.terminate()
        assert supervisor.wait(30) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait(10)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_killed_processes_come_back_and_nothing_is_lost(supervised: Fleet) -> None:
    store = supervised.engine.store
    with Producer(supervised):
        eventually(lambda: len(supervised.ledger.read()) > 40, 15)
        victim = store.queues.consumers()[0].pid
        os.kill(victim, signal.SIGKILL)
        eventually(
            lambda: len({c.pid for c in store.queues.consumers()} - {victim}) == 2,
            15,
            "it came back",
        )
    supervised.history.wait_ended(30)
    supervised.history.check(gentle=False)


@pytest.mark.chaos
def test_a_poison_pill_does_not_end_the_supervisor(supervised: Fleet) -> None:
    supervised.history.accepted([workload.pill_0.send("exit")])
    supervised.history.accepted(workload.innocent.send_many(range(20)))
    supervised.history.wait_ended(60)
    supervised.history.check(gentle=False, failed=1)
    assert len(supervised.ledger.of("pill_0")) == 2
    assert {effect.item for effect in supervised.ledger.of("innocent")} == {"1"}
