"""An ended run starts anew from any of its stages, as a new run with the results before it."""

from __future__ import annotations

from typing import Any

import pytest
from dramatiq import Worker

from engine import Context, Pipeline, Retry, choose, each, stage
from engine.bootstrap import Engine
from engine.control import operate
from engine.errors import ReplayRefused, RunNotFound, RunNotOver, UnknownStage
from engine.workflow.run import Run
from tests.integration.control.commands import call, told

ONCE = Retry(attempts=1)


class Shop:
    """Five stages that count how often they run, the last of which can be broken."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.broken = False

        @stage
        def take(n: int) -> int:
            return self.counted("take", n + 1)

        @stage
        def left(n: int) -> int:
            return self.counted("left", n * 10)

        @stage
        def right(n: int) -> int:
            return self.counted("right", n * 100)

        @stage(retry=ONCE)
        def meet(a: int, b: int, ctx: Context) -> int:
            return self.counted("meet", a + b + ctx.outputs["take"])

        @stage(retry=ONCE)
        def close(n: int) -> int:
            if self.broken:
                raise ValueError("broken")
            return self.counted("close", n)

        self.flow = Pipeline("shop", take | (left & right) | meet | close)

    def counted(self, name: str, value: int) -> int:
        self.ran.append(name)
        return value

    def done(self, **options: Any) -> Run:
        run = self.flow.start(1, **options)
        run.wait("10s")
        self.ran.clear()
        return run


def replayed(engine: Engine, run: Run, stage: str | None = None) -> Run:
    done = engine.control.replay(run.id, stage=stage)
    assert done.run is not None
    return Run(done.run, engine)


def test_a_completed_run_begins_anew_from_each_of_its_stages(
    engine: Engine, worker: Worker
) -> None:
    shop = Shop()
    worker.start()
    run = shop.done(tenant="acme", attributes={"order": "A-17"}, key="k1")
    assert run.result() == 222
    for name, runs in {
        "close": ["close"],
        "meet": ["close", "meet"],
        "left": ["close", "left", "meet"],
        "take": ["close", "left", "meet", "right", "take"],
        None: ["close", "left", "meet", "right", "take"],
    }.items():
        shop.ran.clear()
        again = replayed(engine, run, name)
        assert again.result("10s") == 222
        assert sorted(shop.ran) == runs, name
    view = again.view()
    assert (view.replay_of, view.tenant, view.pipeline) == (run.id, "acme", "shop")
    assert (view.attributes, view.key) == ({"order": "A-17"}, None)


def test_reused_stages_are_shown_and_a_replay_can_be_replayed(
    engine: Engine, worker: Worker
) -> None:
    shop = Shop()
    worker.start()
    run = shop.done()
    again = replayed(engine, run, "close")
    again.wait("10s")
    states = {one.stage: one.state for one in again.view().stages if one.stage[0] != "~"}
    assert states == dict.fromkeys(("take", "left", "right", "meet"), "reused") | {"close": "done"}
    third = replayed(engine, again, "meet")
    assert third.result("10s") == 222
    assert replayed(engine, third).result("10s") == 222


def test_a_failed_run_begins_anew_where_it_died_and_no_further(
    engine: Engine, worker: Worker
) -> None:
    shop = Shop()
    shop.broken = True
    worker.start()
    run = shop.flow.start(1)
    assert run.wait("10s") == "failed"
    shop.broken = False
    shop.ran.clear()
    assert replayed(engine, run, "close").result("10s") == 222
    assert shop.ran == ["close"]
    assert run.status() == "failed"


def test_a_run_whose_first_stage_died_is_replayed_from_its_letter(
    engine: Engine, worker: Worker
) -> None:
    broken = {"yes"}

    @stage(retry=ONCE)
    def first(n: int) -> int:
        if broken:
            raise ValueError("broken")
        return n

    @stage
    def second(n: int) -> int:
        return n * 2

    worker.start()
    run = Pipeline("early", first | second).start(21)
    run.wait("10s")
    broken.clear()
    with pytest.raises(ReplayRefused, match=r"never got to 'second'.*replayed from first"):
        engine.control.replay(run.id, stage="second")
    assert replayed(engine, run).result("10s") == 42
    operate.purge(engine.store, "default")
    with pytest.raises(ReplayRefused, match="input is not kept"):
        engine.control.replay(run.id)


def test_a_run_that_begins_with_an_each_keeps_its_input_from_the_start(
    engine: Engine, worker: Worker
) -> None:
    @stage
    def item(n: int) -> int:
        return n * 2

    @stage
    def summed(ns: list[int]) -> int:
        return sum(ns)

    worker.start()
    run = Pipeline("spreading", each(item) | summed).start([1, 2, 3])
    run.wait("10s")
    assert replayed(engine, run).result("10s") == 12
    planned = engine.control.replay(run.id, stage="summed", dry_run=True)
    assert (planned.run, planned.again) == (None, ["item"])
    assert replayed(engine, run, "summed").result("10s") == 12


def test_a_choose_goes_the_same_way_again(engine: Engine, worker: Worker) -> None:
    @stage
    def odd(n: int) -> str:
        return f"odd {n}"

    @stage
    def even(n: int) -> str:
        return f"even {n}"

    def parity(n: int) -> str:
        return "odd" if n % 2 else "even"

    @stage
    def start(n: int) -> int:
        return n

    worker.start()
    run = Pipeline("choosing", start | choose(parity, {"odd": odd, "even": even})).start(3)
    run.wait("10s")
    assert replayed(engine, run, "odd").result("10s") == "odd 3"
    with pytest.raises(ReplayRefused, match="from start, odd"):
        engine.control.replay(run.id, stage="even")


def test_what_cannot_be_replayed_is_named(engine: Engine, worker: Worker) -> None:
    shop = Shop()
    run = shop.flow.start(1)
    with pytest.raises(RunNotOver):
        engine.control.replay(run.id)
    run.cancel()
    with pytest.raises(ReplayRefused, match="input is not kept"):
        engine.control.replay(run.id)
    with pytest.raises(RunNotFound):
        engine.control.replay("0" * 32)
    worker.start()
    done = shop.done()
    with pytest.raises(UnknownStage, match="Did you mean 'close'"):
        engine.control.replay(done.id, stage="clos")


def test_a_stage_that_stands_twice_is_named_by_its_node(engine: Engine, worker: Worker) -> None:
    @stage
    def add(n: int) -> int:
        return n + 1

    worker.start()
    run = Pipeline("twice", add | add).start(1)
    run.wait("10s")
    with pytest.raises(ReplayRefused, match=r"several nodes.*from 0, 1"):
        engine.control.replay(run.id, stage="add")
    assert replayed(engine, run, "1").result("10s") == 3


def test_the_command_replays_and_says_what_it_reuses(commands: Engine, worker: Worker) -> None:
    shop = Shop()
    worker.start()
    run = shop.done()
    [planned] = told("replay", run.id[:31], "--from", "close", "--dry-run")
    assert (planned["run"], planned["reused"]) == (None, ["take", "left", "right", "meet"])
    assert "reused: take" in call("replay", run.id, "--from", "meet")
    [done] = told("replay", run.id)
    assert Run(done["run"], commands).result("10s") == 222
