"""The same message delivered twice: its transition is committed once."""

from __future__ import annotations

import os
import signal
import time

from tests.chaos import workload
from tests.chaos.conftest import working
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet

QUEUE = workload.QUEUE


def push_again(fleet: Fleet, message: str) -> None:
    store = fleet.engine.store
    keys = store.links.keys
    store.links.commands(
        [
            ("ZADD", keys.name("waiting", queue=QUEUE, tenant="default"), 1, message),
            ("ZADD", keys.name("ring", queue=QUEUE), 0, "default"),
            ("HINCRBY", keys.name("queue", queue=QUEUE), "waiting", 1),
            ("LPUSH", keys.name("wake", queue=QUEUE), 1),
        ]
    )


def test_a_message_pushed_again_while_it_runs_commits_once(fleet: Fleet) -> None:
    """Two processes run it at once: one transition, one end."""
    fleet.start()
    fleet.start()
    run = workload.slow.send(1.0)
    fleet.history.accepted([run])
    [begun] = eventually(lambda: fleet.ledger.of("slow"))
    os.kill(begun.pid, signal.SIGSTOP)  # so that the other takes it
    try:
        push_again(fleet, f"{run.id}:0")
        eventually(lambda: len([e for e in fleet.ledger.of("slow") if e.item == "begun"]) == 2)
    finally:
        os.kill(begun.pid, signal.SIGCONT)
    eventually(lambda: len([e for e in fleet.ledger.of("slow") if e.item == "ended"]) == 2)
    fleet.history.wait_ended(5)
    fleet.history.check(gentle=False)


def test_a_message_pushed_again_to_the_process_that_runs_it_runs_once(inside: Fleet) -> None:
    run = workload.slow.send(1.0)
    inside.history.accepted([run])
    eventually(lambda: inside.ledger.of("slow"))
    push_again(inside, f"{run.id}:0")
    inside.history.wait_ended(5)
    inside.history.check(gentle=True)
    assert [e.item for e in inside.ledger.of("slow")] == ["begun", "ended"]


def test_a_message_pushed_again_while_it_waits_runs_once(fleet: Fleet) -> None:
    run = workload.line.start(1)
    fleet.history.accepted([run])
    store = fleet.engine.store
    keys = store.links.keys
    for _ in range(3):
        store.links.command(
            "ZADD", keys.name("waiting", queue=QUEUE, tenant="default"), 1, f"{run.id}:0"
        )
    with working(fleet):
        fleet.history.wait_ended(5)
    fleet.history.check(gentle=True)


def test_a_message_pushed_again_when_it_has_ended_is_dropped(inside: Fleet) -> None:
    run = workload.line.start(1)
    inside.history.accepted([run])
    inside.history.wait_ended(5)
    push_again(inside, f"{run.id}:0")
    time.sleep(0.3)
    inside.history.check(gentle=True)
