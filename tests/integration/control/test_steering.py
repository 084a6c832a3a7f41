"""Signals, holds and releases of one run, from the command line."""

from __future__ import annotations

import pytest
from dramatiq import Worker

from engine import Pipeline, stage, wait_for
from engine.bootstrap import Engine
from engine.cli.main import run as main
from tests.chaos.eventually import eventually
from tests.integration.control.commands import told


def test_a_run_is_signalled_held_and_released_by_command(
    commands: Engine, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    @stage
    def double(x: int) -> int:
        return 2 * x

    run = Pipeline("told", wait_for("go", int) | double).start(0)
    assert told("hold", run.id) == [{"run": run.id, "paused": True, "changed": True}]
    assert not told("hold", run.id)[0]["changed"]
    said = {"run": run.id, "signal": "go", "taken": True}
    assert told("signal", run.id, "go", "21", "--once", "a") == [said]
    assert told("signal", run.id, "go", "5", "--once", "a") == [{**said, "taken": False}]
    worker.start()
    assert run.status() == "running"
    assert told("release", run.id) == [{"run": run.id, "paused": False, "changed": True}]
    assert run.result("5s") == 42
    with pytest.raises(SystemExit):
        main(["signal", run.id, "go", "1"])
    assert "error[run_ended]" in capsys.readouterr().err


def test_a_signal_that_is_no_json_is_refused_by_name(
    commands: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Pipeline("waits", wait_for("go", int)).start(0)
    with pytest.raises(SystemExit):
        main(["signal", run.id, "go", "{"])
    assert "error[payload_invalid]" in capsys.readouterr().err


def test_a_run_is_cancelled_and_undone_by_command(commands: Engine, worker: Worker) -> None:
    undone = []

    @stage
    def book(x: int) -> int:
        return x

    @stage
    def unbook(x: int) -> None:
        undone.append(x)

    run = Pipeline("trip", book.undo(unbook) | wait_for("go", int)).start(7)
    worker.start()
    eventually(lambda: run.view().stages[0].state == "done")
    assert told("cancel", run.id, "--undo")[0]["cancelled"]
    assert run.wait("5s") == "cancelled"
    assert undone == [7]
