"""Two versions of a project side by side on one store: a run ends on the plan it began with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.projects import Project, eventually
from tests.servers import ThrowawayServer

OLD = """
import os, time
from pathlib import Path
from engine import Pipeline, stage

GATE = Path(os.environ["GATE"])

@stage(queue="parcels")
def receive(order: int) -> int:
    while not GATE.exists():
        time.sleep(0.02)
    return order

@stage(queue="parcels")
def box(order: int) -> list[str]:
    return ["old", "box", str(order)]

parcels = Pipeline("parcels", receive | box)
"""
# The new code wraps and then weighs; the old `box` is gone, and with it half of the old plan.
NEW = """
import os
from engine import Pipeline, stage

@stage(queue="parcels")
def receive(order: int) -> int:
    return order

@stage(queue="parcels")
def wrap(order: int) -> int:
    return order

@stage(queue="parcels")
def weigh(order: int) -> list[str]:
    return ["new", "weigh", str(order)]

parcels = Pipeline("parcels", receive | wrap | weigh)
"""
START = """
import json, sys
import actors.parcels as code
print(json.dumps([run.id for run in code.parcels.start_many([int(n) for n in sys.argv[1:]])]))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ThrowawayServer]:
    with ThrowawayServer() as started:
        yield started


def version(directory: Path, server: ThrowawayServer, source: str, namespace: str) -> Project:
    made = Project(directory, server.url)
    made.namespace = made.environ["CALLBOARD_NAMESPACE"] = namespace
    made.environ["GATE"] = str(directory.parent / "gate")
    (made.directory / "actors" / "parcels.py").write_text(source)
    (made.directory / "start.py").write_text(START)
    return made


@pytest.fixture
def versions(tmp_path: Path, server: ThrowawayServer) -> Iterator[tuple[Project, Project]]:
    """The old and the new version of one project, on one store."""
    name = f"t{tmp_path.name[-20:]}".replace("-", "_")
    both = [
        version(tmp_path / kind, server, source, name)
        for kind, source in (("before", OLD), ("after", NEW))
    ]
    try:
        yield both[0], both[1]
    finally:
        for project in both:
            project.close()


def started(project: Project, *orders: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "start.py", *map(str, orders)],
        cwd=project.directory,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def ended(project: Project, run: str) -> dict[str, object]:
    return eventually(
        lambda: (shown := project.json("show", run))["state"] != "running" and shown,
        30,
        f"the end of {run}\n{project.told()[-2000:]}",
    )


def stages(shown: dict[str, object]) -> list[str]:
    return [stage["stage"] for stage in shown["stages"]]  # type: ignore[index,attr-defined]


def test_old_and_new_workers_side_by_side_end_every_run_on_the_plan_it_began_with(
    versions: tuple[Project, Project],
) -> None:
    before, after = versions
    before.start("worker", "-p", "1", "-t", "2")
    before.ready(1)
    old_runs = started(before, 1, 2, 3)

    check = after.call("plans", "check")
    assert check.returncode == 1
    [problem] = check.stdout.splitlines()
    assert "(parcels, 3 live runs): stage 'box' is missing." in problem
    assert before.call("plans", "check").returncode == 0

    after.start("worker", "-p", "1", "-t", "2")  # deployed all the same, beside the old
    after.ready(1)
    new_runs = started(after, 7, 8, 9)
    (before.directory.parent / "gate").touch()
    for run in old_runs:
        shown = ended(before, run)
        assert (shown["state"], stages(shown)) == ("completed", ["receive", "box"])
    for run in new_runs:
        shown = ended(after, run)
        assert (shown["state"], stages(shown)) == ("completed", ["receive", "wrap", "weigh"])
    assert after.call("plans", "check").returncode == 0
    assert after.call("dead", "list").stdout.strip() == "no dead letter"


def test_a_stage_that_no_worker_knows_yet_waits_for_the_deploy(
    versions: tuple[Project, Project],
) -> None:
    before, after = versions
    (before.directory.parent / "gate").touch()
    before.start("worker", "-p", "1", "-t", "1")
    before.ready(1)
    [run] = started(after, 5)  # sent by new code while only old workers serve
    eventually(lambda: stages(before.json("show", run)) == ["receive"], 15, "the first stage")
    assert before.json("show", run)["state"] == "running"
    after.start("worker", "-p", "1", "-t", "1")
    after.ready(1)
    shown = ended(after, run)
    assert (shown["state"], stages(shown)) == ("completed", ["receive", "wrap", "weigh"])
