"""The commands that look and act, in this process: tables for people, JSON for machines."""

from __future__ import annotations

import pytest
from dramatiq import Worker

from engine import Retry, stage
from engine.bootstrap import Engine
from engine.cli.main import run
from engine.workflow.run import Run
from tests.integration.control.commands import call, told


def failed_run(worker: Worker) -> Run:
    @stage(queue="fragile", retry=Retry(attempts=1))
    def fragile(n: int) -> int:
        raise ValueError("it is [bold]broken")

    worker.start()
    run = fragile.send(1, tenant="acme")
    run.wait("10s")
    return run


def test_a_failed_run_is_found_shown_and_its_letter_purged(
    commands: Engine, worker: Worker
) -> None:
    failed = failed_run(worker)
    assert failed.id in call("runs", "--state", "failed")
    assert [one["id"] for one in told("runs")] == [failed.id]
    assert "✗" in call("show", failed.id)
    [shown] = told("show", failed.id)
    assert (shown["state"], shown["stages"][0]["state"]) == ("failed", "dead")

    [letter] = told("dead", "list")
    assert (letter["queue"], letter["tenant"], letter["story"]["type"]) == (
        "fragile",
        "acme",
        "ValueError",
    )
    assert "it is [bold]broken" in call("dead", "list")
    assert "in fragile" in call("dead", "show", letter["message"])
    assert told("dead", "redrive", letter["message"]) == [{"redriven": 1, "stayed": {}}]
    worker.broker.join("fragile", timeout=10_000)
    assert told("dead", "purge", "--all", "--queue", "fragile", "--older-than", "1h") == [
        {"purged": 0}
    ]
    assert told("dead", "purge", "--all", "--queue", "fragile") == [{"purged": 1}]
    assert "no dead letter" in call("dead", "list")


def test_queues_and_tenants_are_told_and_changed(commands: Engine) -> None:
    @stage(queue="quiet")
    def quiet() -> None: ...

    run = quiet.send(tenant="acme")
    [queue] = told("queues")
    assert (queue["queue"], queue["waiting"], queue["workers"]) == ("quiet", 1, 0)
    assert told("pause", "quiet") == [{"queue": "quiet", "paused": True, "changed": True}]
    assert "yes" in call("queues")
    assert told("resume", "quiet")[0]["changed"]
    assert told("tenants") == [{"tenant": "acme", "leased": 0, "waiting": 1, "limits": None}]
    assert (
        told("tenants", "limit", "acme", "--max-concurrent", "2")[0]["limits"]["max_concurrent"]
        == 2
    )
    assert "acme" in call("tenants")
    assert told("cancel", run.id) == [{"run": run.id, "cancelled": True}]
    assert told("doctor")[0]["grade"] == "warn"
    assert "start `callboard worker`" in call("doctor")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "nosuchrun"], 4, "error[run_not_found]"),
        (["dead", "show", "x"], 4, "error[dead_letter_not_found]"),
        (["pause", "nosuch"], 2, "error[unknown_queue]"),
        (["runs", "--state", "faild"], 2, "Did you mean 'failed'"),
        (["tenants", "limit", "a b"], 2, "error[tenant_invalid]"),
        (["dead", "purge", "--all"], 2, "error[option_invalid]"),
        (["new", "Bad Name"], 2, "error[name_invalid]"),
        (["quues"], 2, "queues"),
    ],
)
def test_bad_input_is_a_named_error_on_standard_error_alone(
    commands: Engine, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    seen = capsys.readouterr()
    assert ended.value.code == code
    assert says in seen.err
    assert seen.out == ""
    assert "Traceback" not in seen.err
