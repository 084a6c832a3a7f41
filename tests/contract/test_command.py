"""The `dramatiq` command on both brokers: processes, `-Q`, reload, stop, kill, Prometheus."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from tests.contract.brokers import make_broker
from tests.contract.conftest import eventually
from tests.servers import ThrowawayServer, free_port

ROOT = Path(__file__).resolve().parents[2]
APP = "tests.contract.command_app"


class Command:
    """Starts `dramatiq` commands for one test, and sends to them from the test's process."""

    def __init__(self, kind: str, server: ThrowawayServer, namespace: str, scratch: Path) -> None:
        self.broker = make_broker(kind, server.url, namespace=namespace)
        for queue in ("one", "two"):
            self.broker.declare_queue(queue)
        self.journal = scratch / "journal"
        self.journal.touch()
        self.log = scratch / "log"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            # A reload starts "python", which has to be this one.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "dramatiq_worker_timeout": "100",  # an idle second of a worker at its stop is ours too
            "CONFORMANCE_BROKER": kind,
            "CONFORMANCE_URL": server.url,
            "CONFORMANCE_NAMESPACE": namespace,
            "CONFORMANCE_JOURNAL": str(self.journal),
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, boots: int = 1, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command and wait until `boots` more worker processes are up."""
        before = len(self.said("boot"))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dramatiq", APP, *arguments],
                env={**self.environment, **environment},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that a kill reaches master and workers alike
            )
        self._started.append(process)
        eventually(lambda: self._up(process, before + boots), 20, "boot")
        return process

    def _up(self, process: subprocess.Popen[bytes], boots: int) -> bool:
        assert process.poll() is None, f"it ended:\n{self.log.read_text()[-3000:]}"
        return len(self.said("boot")) >= boots

    def send(self, actor: str, *args: Any, queue: str = "one") -> None:
        """Send a message to an actor of the program."""
        self.broker.enqueue(dramatiq.Message(queue, actor, args, {}, {}))

    def lines(self) -> list[tuple[int, str]]:
        """Give the journal: (process id, what it said), in order."""
        whole = self.journal.read_text().rpartition("\n")[0]  # the last may be half written
        split = (line.partition(" ") for line in whole.splitlines())
        return [(int(pid), what) for pid, _, what in split]

    def said(self, start: str) -> list[int]:
        """Give the process ids of the lines that begin with `start`."""
        return [pid for pid, what in self.lines() if what.startswith(start)]

    def close(self) -> None:
        """End whatever is left."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        self.broker.close()


@pytest.fixture
def command(
    kind: str, server: ThrowawayServer, namespace: str, tmp_path: Path
) -> Iterator[Command]:
    """The `dramatiq` command over the broker under test."""
    made = Command(kind, server, namespace, tmp_path)
    try:
        yield made
    finally:
        made.close()


def stopped(process: subprocess.Popen[bytes]) -> int:
    """Ask the command to stop, as an operator does, and give its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(20)


def test_processes_share_the_queues_they_are_given(command: Command) -> None:
    process = command.start("-p", "2", "-t", "2", "-Q", "one", boots=2)
    numbers = itertools.count()

    def both_take_part() -> bool:
        """One of them may be slow to begin: it finds work whenever that is."""
        command.send("note", next(numbers))
        return len(set(command.said("note"))) == 2

    command.send("other", 1, queue="two")
    for n in range(5):
        command.send("gentle", n)
    for _ in range(100):
        command.send("note", next(numbers))
    eventually(both_take_part, 15, "both processes take notes")
    command.broker.join("one", timeout=15_000)
    notes = [what for _, what in command.lines() if what.startswith("note")]
    assert sorted(notes) == sorted(f"note {n}" for n in range(next(numbers)))
    assert len(command.said("gentle")) == 5
    assert command.said("other") == []
    assert stopped(process) == 0
    assert len(command.said("shutdown")) == 2


def test_a_stop_lets_running_messages_end_and_gives_the_rest_back(command: Command) -> None:
    process = command.start("-p", "1", "-t", "1")
    # The command looks once a second whether it is to stop: the message must last for longer.
    command.send("slow", 2.0)
    for n in range(5):
        command.send("note", n)
    eventually(lambda: command.said("began"))
    assert stopped(process) == 0
    told = [what for _, what in command.lines()]
    assert told.count("ended") == 1
    assert command.said("note") == []
    command.start("-p", "1", "-t", "2")
    command.broker.join("one", timeout=15_000)
    assert len(command.said("began")) == 1
    assert len(command.said("note")) == 5


def test_a_reload_starts_new_processes_that_go_on(command: Command) -> None:
    process = command.start("-p", "1", "-t", "1")
    command.send("note", 1)
    [before] = eventually(lambda: command.said("note"))
    process.send_signal(signal.SIGHUP)
    eventually(lambda: len(command.said("boot")) == 2, 20, "second boot")
    command.send("note", 2)
    after = eventually(lambda: command.said("note 2"))[0]
    assert after != before


def test_a_killed_workers_message_runs_again(command: Command) -> None:
    process = command.start("-p", "1", "-t", "1")
    command.send("slow", 1.5)
    eventually(lambda: command.said("began"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    command.start("-p", "1", "-t", "1")
    # 15 s is our promise for a quiet queue; stock is set to look after every command.
    eventually(lambda: len(command.said("began")) == 2, 15)
    eventually(lambda: command.said("ended"))
    command.broker.join("one", timeout=5_000)


def test_prometheus_counts_what_ran(command: Command, tmp_path: Path) -> None:
    port = free_port()
    command.start(
        "-p",
        "1",
        "-t",
        "1",
        CONFORMANCE_PROMETHEUS="1",
        dramatiq_prom_host="127.0.0.1",
        dramatiq_prom_port=str(port),
        dramatiq_prom_db=str(tmp_path / "prometheus"),
    )
    for n in range(7):
        command.send("note", n)
    command.broker.join("one", timeout=10_000)
    eventually(
        lambda: 'dramatiq_messages_total{actor_name="note",queue_name="one"} 7.0' in _read(port), 10
    )


def _read(port: int) -> str:
    page = f"http://127.0.0.1:{port}/"
    # Nobody listens yet, or the page is cut off.
    with suppress(OSError, HTTPException), urllib.request.urlopen(page, timeout=2) as answer:
        return str(answer.read().decode())
    return ""
