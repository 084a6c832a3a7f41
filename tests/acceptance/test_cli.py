"""The `callboard` command from outside: a new project is made, brought up, run, looked at."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.projects import ROOT, Project, eventually
from tests.servers import available_binaries

SAMPLE = "pipelines/sample.jsonl"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "shop")
    try:
        yield made
    finally:
        made.close()
        made.call("down")


def test_a_new_project_comes_up_works_and_goes_down(project: Project) -> None:
    up = project.start("up", "-p", "1")
    project.ready(2)

    first = project.json("run", "orders", "--input", SAMPLE, "--repeat", "5", "--timeout", "30s")
    assert first["runs"]["states"] == {"completed": 20}
    assert (first["runs"]["new"], first["runs"]["duplicates"]) == (20, 0)
    assert {row["stage"]: row["count"] for row in first["stages"]} == dict.fromkeys(
        ["check", "charge", "pack", "confirm"], 20
    )
    again = project.json("run", "orders", "--input", SAMPLE, "--repeat", "5")
    assert again["runs"]["states"] == {"completed": 20}
    assert (again["runs"]["new"], again["runs"]["duplicates"]) == (0, 20)

    stage_names = [one["stage"] for one in first["sample"]["stages"]]
    assert sorted(stage_names) == ["charge", "check", "confirm", "pack"]
    second_up = project.call("up")
    assert second_up.returncode == 1
    assert "error[already_up]" in second_up.stderr

    down = project.json("down")
    assert down["up"] == up.pid
    assert up.wait(5) == 0
    refused = project.call("runs")
    assert refused.returncode == 2
    assert "callboard up" in refused.stderr


def test_the_tests_of_a_new_project_pass(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project.directory,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_up_ends_in_order_at_ctrl_c(project: Project) -> None:
    up = project.start("up", "-p", "1")
    project.ready(1)
    up.send_signal(signal.SIGINT)
    assert up.wait(20) == 0
    assert project.json("down") == {"up": None, "server_stopped": False}


def test_a_dead_server_is_a_named_error_with_its_own_exit_code(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", "redis://127.0.0.1:1/0")
    done = project.call("queues")
    assert done.returncode == 3
    assert "error[store_unreachable]" in done.stderr
    assert "Traceback" not in done.stderr
    doctor = project.call("doctor", "--json")
    assert doctor.returncode == 1
    assert json.loads(doctor.stdout)["findings"][0]["grade"] == "fail"


@pytest.mark.skipif(not available_binaries(), reason="no server to embed")
def test_the_demo_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    if not (ROOT / "pipelines" / SAMPLE.partition("/")[2]).exists():
        pytest.skip("the sample of the repository's own pipeline is not here")
    environ = {**Project(tmp_path / "unused").environ, "CALLBOARD_DATA_DIR": str(tmp_path / "data")}
    environ.pop("CALLBOARD_NAMESPACE")
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "demo", "--json"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert summary["ok"]
    assert summary["runs"]["states"] == {"completed": summary["fed"]}
    traces = tmp_path / "data" / "demo-traces.jsonl"
    spans = [json.loads(line) for line in traces.read_text().splitlines()]
    stages = sum(row["count"] for row in summary["stages"])
    # A span for each start, and one for each attempt of a stage.
    consumers = [span for span in spans if span["kind"] == "SpanKind.CONSUMER"]
    assert len(consumers) >= stages
    trace_ids = {
        span["context"]["trace_id"] for span in spans if span["kind"] == "SpanKind.PRODUCER"
    }
    assert len(trace_ids) >= summary["fed"]
    eventually(lambda: not list(tmp_path.glob("callboard-demo-*")), 1)
