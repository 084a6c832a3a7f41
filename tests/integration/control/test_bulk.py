"""Many runs, or dead letters, at once: by filter, with a dry run, each failure with its reason."""

from __future__ import annotations

import pytest
from dramatiq import Worker

from engine import Pipeline, Retry, stage
from engine.bootstrap import Engine
from engine.cli.main import run as command
from engine.control import inspect, operate
from engine.control.bulk import LetterFilter, Tally, over_runs
from engine.control.search import run_filter
from engine.errors import OptionInvalid, UnknownQueue
from engine.store.entries import Outgoing
from engine.workflow.run import Run
from tests.integration.control.commands import call, told
from tests.integration.control.test_control import eventually


class Fragile:
    """A stage that dies until it is mended."""

    def __init__(self, worker: Worker) -> None:
        self.broken = True

        @stage(queue="fragile", retry=Retry(attempts=1))
        def fragile(n: int) -> int:
            if self.broken:
                raise ValueError("broken")
            return n

        self.flow = Pipeline("fragile-flow", fragile)
        worker.start()

    def failed(self, number: int, tenant: str = "acme") -> list[Run]:
        runs = self.flow.start_many(list(range(number)), tenant=tenant)
        for run in runs:
            run.wait("10s")
        return runs


def test_every_running_run_that_passes_is_cancelled_and_no_other(engine: Engine) -> None:
    @stage
    def quiet(n: int) -> int:
        return n

    ours = quiet.send_many(list(range(450)), tenant="acme")
    theirs = quiet.send_many([1, 2], tenant="globex")
    wanted = run_filter(tenant="acme")
    planned = engine.control.bulk("cancel", wanted, dry_run=True)
    assert (planned.matched, planned.done, len(planned.first)) == (450, 0, 10)
    seen: list[int] = []
    tally = engine.control.bulk("cancel", wanted, tell=lambda one: seen.append(one.done))
    assert (tally.matched, tally.done, tally.good, seen) == (450, 450, True, [200, 400])
    assert {run.status() for run in ours} == {"cancelled"}
    assert {run.status() for run in theirs} == {"running"}
    assert engine.control.bulk("cancel", wanted) == Tally()
    assert engine.control.bulk("cancel", run_filter(), at_most=1).done == 1


def test_every_failed_run_that_passes_is_retried_and_what_cannot_be_says_why(
    engine: Engine, worker: Worker
) -> None:
    fragile = Fragile(worker)
    ours, theirs = fragile.failed(3), fragile.failed(1, tenant="globex")
    operate.purge_one(engine.store, f"{ours[0].id}:0")
    fragile.broken = False
    tally = engine.control.bulk("retry", run_filter(tenant="acme"))
    assert (tally.matched, tally.done, tally.failed) == (3, 2, 1)
    assert tally.troubles == ((ours[0].id, "letters_gone"),)
    assert not tally.good
    assert {run.wait("10s") for run in ours[1:]} == {"completed"}
    assert theirs[0].status() == "failed"


def test_a_run_that_came_too_late_is_skipped_and_no_failure(engine: Engine, worker: Worker) -> None:
    @stage
    def quiet(n: int) -> int:
        return n

    run = quiet.send(1)

    def act(run_id: str) -> bool:
        engine.cancel(run_id)
        return operate.cancel(engine.store, run_id)

    tally = over_runs(engine.store, run_filter(state="running"), act)
    assert (tally.matched, tally.done, tally.skipped, tally.good) == (1, 0, 1, True)
    assert run.status() == "cancelled"


def test_ended_runs_that_pass_are_replayed(engine: Engine, worker: Worker) -> None:
    fragile = Fragile(worker)
    fragile.failed(2)
    fragile.broken = False
    assert engine.control.bulk("replay", run_filter(state="failed")).done == 2
    eventually(lambda: len(inspect.runs(engine.store, state="completed")) == 2)
    for state in (None, "running"):
        with pytest.raises(OptionInvalid, match="state"):
            engine.control.bulk("replay", run_filter(state=state))
    with pytest.raises(OptionInvalid, match="only failed runs"):
        engine.control.bulk("retry", run_filter(state="completed"))
    with pytest.raises(OptionInvalid, match="cancel, retry or replay"):
        engine.control.bulk("purge", run_filter())


def test_letters_of_a_queue_are_redriven_by_tenant_reason_and_time(
    engine: Engine, worker: Worker
) -> None:
    fragile = Fragile(worker)
    ours, theirs = fragile.failed(2), fragile.failed(1, tenant="globex")
    engine.store.transit.enqueue("c", [Outgoing("m1", "fragile", "acme", 5, 1, 0, b"sick")])
    eventually(lambda: len(inspect.letters(engine.store)) == 4)
    fragile.broken = False
    assert engine.control.redrive(LetterFilter("fragile", tenant="nobody")).matched == 0
    assert engine.control.redrive(LetterFilter("fragile", until_ms=1)).matched == 0
    exhausted = LetterFilter("fragile", tenant="acme", reason="attempts_exhausted")
    assert engine.control.redrive(exhausted, dry_run=True).matched == 2
    assert engine.control.redrive(exhausted).done == 2
    assert {run.wait("10s") for run in ours} == {"completed"}
    assert theirs[0].status() == "failed"
    with pytest.raises(UnknownQueue):
        engine.control.redrive(LetterFilter("fragil"))


def test_the_commands_act_tell_and_exit_by_what_became_of_it(
    commands: Engine, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    fragile = Fragile(worker)
    runs = fragile.failed(2)
    operate.purge_one(commands.store, f"{runs[0].id}:0")
    words = ["bulk", "retry", "--pipeline", "fragile-flow", "--ended-since", "1h"]
    [planned] = told(*words, "--dry-run")
    assert (planned["matched"], planned["done"], set(planned["first"])) == (
        2,
        0,
        {run.id for run in runs},
    )
    assert "2 would be acted on" in call(*words, "--dry-run")
    fragile.broken = False
    said = call(*words, code=1)
    assert "1 of 2 done, 1 failed" in said
    assert f"{runs[0].id}: letters_gone" in said
    assert "replay_refused" in call("bulk", "replay", "--state", "failed", code=1)
    runs[1].wait("10s")
    assert "1 of 1 done" in call("bulk", "replay", "--state", "completed", "--limit", "1")
    assert "0 of 0 done" in call("bulk", "redrive", "-Q", "fragile", "--reason", "stalled")
    assert "done" in call("bulk", "cancel", "--all")
    with pytest.raises(SystemExit) as ended:
        command(["bulk", "cancel"])
    assert ended.value.code == 2
    assert "--all" in capsys.readouterr().err
