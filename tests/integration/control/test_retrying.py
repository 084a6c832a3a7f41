"""A failed run goes on from where it died, with its input corrected or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dramatiq import Worker
from pydantic import BaseModel

from engine import Context, Pipeline, Retry, each, stage
from engine.bootstrap import Engine
from engine.control import inspect, operate
from engine.errors import (
    LettersGone,
    OptionInvalid,
    PatchInvalid,
    PayloadInvalid,
    RunNotFailed,
    RunNotFound,
    UnknownStage,
)
from tests.integration.control.commands import call, told

ONCE = Retry(attempts=1)


class Order(BaseModel):
    amount: int
    note: str = ""


def amount(value: int) -> str:
    return json.dumps([{"op": "replace", "path": "/amount", "value": value}])


def shop() -> Pipeline:
    @stage(retry=ONCE)
    def receive(order: Order) -> Order:
        return Order(amount=order.amount - 1, note="received")

    @stage(retry=ONCE)
    def charge(order: Order) -> int:
        if order.amount < 0:
            raise ValueError("below zero")
        return order.amount

    return Pipeline("shop", receive | charge)


def test_a_run_goes_on_from_the_stage_that_died_with_a_corrected_input(
    engine: Engine, worker: Worker
) -> None:
    run = shop().start(Order(amount=0))
    worker.start()
    assert run.wait("10s") == "failed"
    planned = engine.control.retry(run.id, patch=amount(5), dry_run=True)
    assert [(one.stage, one.verdict) for one in planned.letters] == [("charge", "would_be")]
    assert run.status() == "failed"
    done = engine.control.retry(run.id, patch=amount(5))
    assert [one.verdict for one in done.letters] == ["redriven"]
    assert run.result("10s") == 5
    with pytest.raises(RunNotFailed, match="completed"):
        engine.control.retry(run.id)


def test_a_run_goes_on_without_a_patch_when_its_cause_is_mended(
    engine: Engine, worker: Worker
) -> None:
    broken = {"yes"}

    @stage(retry=ONCE)
    def fragile(n: int) -> int:
        if broken:
            raise ValueError("broken")
        return n

    run = fragile.send(1)
    worker.start()
    run.wait("10s")
    broken.clear()
    assert engine.control.retry(run.id).good
    assert run.result("10s") == 1


def test_the_input_of_a_stage_behind_a_join_is_corrected(engine: Engine, worker: Worker) -> None:
    @stage
    def left(n: int) -> int:
        return n

    @stage
    def right(n: int) -> int:
        return n + 1

    @stage(retry=ONCE)
    def both(a: int, b: int) -> int:
        if a < 10:
            raise ValueError("too small")
        return a + b

    run = Pipeline("joined", (left & right) | both).start(1)
    worker.start()
    assert run.wait("10s") == "failed"
    engine.control.retry(run.id, patch='[{"op":"replace","path":"/0","value":10}]')
    assert run.result("10s") == 12


def test_the_input_of_one_item_of_an_each_is_corrected_and_the_each_goes_on(
    engine: Engine, worker: Worker
) -> None:
    @stage
    def spread(n: int) -> list[int]:
        return [1, -1, 2]

    @stage(retry=ONCE)
    def item(n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return n * 10

    @stage
    def summed(ns: list[int]) -> int:
        return sum(ns)

    run = Pipeline("spreading", spread | each(item, window=1) | summed).start(1)
    worker.start()
    assert run.wait("10s") == "failed"
    engine.control.retry(run.id, patch='[{"op":"replace","path":"","value":7}]')
    assert run.result("10s") == 100


def two_dead(engine: Engine, worker: Worker) -> str:
    @stage(retry=ONCE)
    def left(order: Order) -> int:
        raise ValueError("left")

    @stage(retry=ONCE)
    def right(order: Order) -> int:
        if order.amount != 3:
            raise ValueError("right")
        return 3

    @stage
    def meet(a: int, b: int) -> int:
        return a + b

    run = Pipeline("two", (left & right) | meet).start(Order(amount=1))
    worker.start()
    run.wait("10s")
    worker.broker.join("default", timeout=10_000)
    return run.id


def test_of_several_letters_one_stages_can_be_chosen_and_a_patch_must_choose(
    engine: Engine, worker: Worker
) -> None:
    run = two_dead(engine, worker)
    with pytest.raises(OptionInvalid, match="one of left, right"):
        engine.control.retry(run, patch=amount(3))
    with pytest.raises(UnknownStage, match="Did you mean 'right'"):
        engine.control.retry(run, stage="rigth")
    assert [one.stage for one in engine.control.retry(run, stage="right", patch=amount(3)).letters]
    assert [one.message[33:] for one in inspect.letters(engine.store)] == ["1"]


def test_a_correction_that_does_not_fit_moves_no_letter(engine: Engine, worker: Worker) -> None:
    run = shop().start(Order(amount=0))
    worker.start()
    run.wait("10s")
    [before] = inspect.letters(engine.store)
    for patch, error in (
        ("nonsense", PatchInvalid),
        ('[{"op":"remove","path":"/nothing"}]', PatchInvalid),
        ('[{"op":"replace","path":"/amount","value":"many"}]', PayloadInvalid),
    ):
        with pytest.raises(error):
            engine.control.retry(run.id, patch=patch)
    assert inspect.letters(engine.store) == [before]
    assert run.status() == "failed"
    operate.purge(engine.store, "default")
    with pytest.raises(LettersGone, match="Replay"):
        engine.control.retry(run.id)
    with pytest.raises(RunNotFound):
        engine.control.retry("0" * 32)


def test_the_command_retries_with_a_patch_from_a_file_or_from_the_line(
    commands: Engine, worker: Worker, tmp_path: Path
) -> None:
    run = shop().start(Order(amount=0))
    worker.start()
    run.wait("10s")
    [planned] = told("retry", run.id[:30], "--patch", amount(4), "--dry-run")
    assert (planned["dry_run"], planned["letters"][0]["verdict"]) == (True, "would_be")
    path = tmp_path / "fix.json"
    path.write_text(amount(4))
    assert "redriven" in call("retry", run.id, "--stage", "charge", "--patch", str(path))
    assert run.result("10s") == 4


def test_a_failed_attempt_keeps_what_it_logged_last_without_secrets(
    commands: Engine, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    @stage(retry=Retry(attempts=2, base="1ms"))
    def talks(n: int, ctx: Context) -> int:
        for line in range(25):
            ctx.log.info("line", number=line, attempt=ctx.attempt)
        ctx.log.warning("calling https://u:s3cr3t@host", api_key="s3cr3t", payload={"n": n})
        raise ValueError("broken")

    @stage(retry=ONCE)
    def silent(n: int) -> int:
        raise ValueError("broken")

    with caplog.at_level("INFO"):
        worker.start()
        talks.send(1).wait("10s"), silent.send(1).wait("10s")
    stories = {one.message: inspect.story_of(one) for one in inspect.letters(commands.store)}
    [told_of] = [story for story in stories.values() if "log" in story["story"]]
    lines = told_of["story"]["log"]
    assert len(lines) == 20
    assert lines[0] == "info: line number=6 attempt=2"
    assert lines[-1].startswith("warn: calling https://")
    assert "s3cr3t" not in str(stories)
    assert told_of["errors"][0]["log"][0] == "info: line number=6 attempt=1"
    assert "log  info: line number=24 attempt=2" in call("dead", "show", told_of["message"])
