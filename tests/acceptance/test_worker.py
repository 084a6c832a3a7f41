"""`callboard worker`: what dies comes back, what stops ends in order, what rolls leaves no gap."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.projects import Project, alive, children_of, eventually, lines_of
from tests.servers import ThrowawayServer

SLOW_STAGE = """
import os, time
from pathlib import Path
from engine import stage

@stage(queue="slow")
def nap(seconds: float) -> int:
    with open("journal", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(seconds)
    return os.getpid()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ThrowawayServer]:
    with ThrowawayServer() as started:
        yield started


@pytest.fixture
def project(tmp_path: Path, server: ThrowawayServer) -> Iterator[Project]:
    made = Project(tmp_path / "shop", server.url)
    (made.directory / "actors" / "slow.py").write_text(SLOW_STAGE)
    try:
        yield made
    finally:
        made.close()


def runs_of(project: Project, name: str, number: int) -> dict[str, int]:
    path = project.directory / f"{name}.jsonl"
    path.write_text(lines_of([f"{name}-{n}" for n in range(number)]))
    summary = project.json("run", "orders", "--input", str(path), "--timeout", "30s")
    return dict(summary["runs"]["states"])


def test_a_killed_worker_and_a_killed_master_are_started_again(project: Project) -> None:
    supervisor = project.start("worker", "-p", "2", "-t", "2")
    project.ready(2)
    first, second = project.masters()
    [child] = children_of(first)
    os.kill(child, signal.SIGKILL)
    os.kill(second, signal.SIGKILL)
    project.ready(4)
    assert runs_of(project, "after", 10) == {"completed": 10}
    assert supervisor.poll() is None
    eventually(lambda: not alive(first) and not alive(second), 15, "the end of the old masters")


def test_a_stop_lets_work_in_hand_end_and_leaves_nothing_running(project: Project) -> None:
    supervisor = project.start("worker", "-p", "1", "-t", "1", "-Q", "slow")
    project.ready(1)
    run = project.json("send", "nap", "2.5")["run"]
    journal = project.directory / "journal"
    eventually(journal.exists, 10, "the beginning of the nap")
    [worker] = children_of(project.masters()[0])
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(15) == 0
    assert not alive(worker)
    shown = project.json("show", run)
    assert shown["state"] == "completed"
    assert len(journal.read_text().splitlines()) == 1


def test_a_hangup_replaces_every_process_without_a_failed_run(project: Project) -> None:
    supervisor = project.start("worker", "-p", "2", "-t", "2")
    project.ready(2)
    before = project.masters()
    supervisor.send_signal(signal.SIGHUP)
    assert runs_of(project, "during", 30) == {"completed": 30}
    project.ready(4)
    eventually(lambda: not any(map(alive, before)), 15, "the end of the old processes")
    assert runs_of(project, "after", 10) == {"completed": 10}


def test_new_code_that_does_not_start_leaves_the_old_at_work(project: Project) -> None:
    supervisor = project.start("worker", "-p", "1", "-t", "2")
    project.ready(1)
    [before] = project.masters()
    (project.directory / "actors" / "broken.py").write_text("import no_such_module\n")
    supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: "the old one goes on" in project.told(), 20, "the refusal")
    assert alive(before)
    (project.directory / "actors" / "broken.py").unlink()
    assert runs_of(project, "still", 5) == {"completed": 5}


def test_workers_end_when_their_supervisor_is_killed(project: Project) -> None:
    supervisor = project.start("worker", "-p", "1", "-t", "1")
    project.ready(1)
    [master] = project.masters()
    [worker] = children_of(master)
    supervisor.kill()
    eventually(lambda: not alive(master) and not alive(worker), 15, "the end of the workers")


def test_q_takes_several_queues_and_serves_no_others(project: Project) -> None:
    project.start("worker", "-p", "1", "-t", "1", "-Q", "slow", "maintenance")
    project.ready(1)
    project.json("send", "nap", "0")
    queues = {}

    def both_served() -> bool:
        lines = project.call("queues", "--json").stdout.splitlines()
        queues.update({one["queue"]: one["workers"] for one in map(json.loads, lines)})
        return queues.get("slow") == 1

    eventually(both_served, 15, "the worker of the queue")
    assert project.json("send", "check", '{"id":"1","customer":"c","items":["a"],"cents":1}')
    time.sleep(0.5)
    [check] = project.call("runs", "--pipeline", "check", "--json").stdout.splitlines()
    assert json.loads(check)["state"] == "running"


def test_an_unknown_queue_or_module_is_refused_before_anything_starts(project: Project) -> None:
    queue = project.call("worker", "-Q", "slwo")
    assert queue.returncode == 2
    assert "error[unknown_queue]" in queue.stderr
    assert "Did you mean 'slow'?" in queue.stderr
    module = project.call("worker", "actrs")
    assert module.returncode == 2
    assert "error[module_missing]" in module.stderr
    assert "Did you mean 'actors'?" in module.stderr


def test_a_broker_of_the_users_own_is_taken_as_dramatiq_takes_it(
    project: Project, server: ThrowawayServer
) -> None:
    (project.directory / "plain.py").write_text(
        f"import dramatiq\nfrom engine.broker import RedisBroker\n"
        f"broker = RedisBroker(url={server.url!r}, namespace={project.namespace!r})\n"
        "dramatiq.set_broker(broker)\n"
        "@dramatiq.actor\ndef note():\n    open('noted', 'w').close()\n"
    )
    supervisor = project.start("worker", "plain:broker", "-p", "1", "-t", "1")
    eventually(lambda: "ready for action" in project.told(), 15, "the worker")
    (project.directory / "send.py").write_text("import plain\nplain.note.send()\n")
    subprocess.run(
        [sys.executable, "send.py"],
        cwd=project.directory,
        env=project.environ,
        check=True,
        timeout=20,
    )
    eventually((project.directory / "noted").exists, 10, "the message")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(15) == 0
