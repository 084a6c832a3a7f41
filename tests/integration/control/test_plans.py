"""Live plans on a real store, and the check that a deploy strands nobody."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Worker

from engine import Pipeline, stage
from engine.bootstrap import Engine
from engine.control import plans
from engine.workflow import registry
from engine.workflow.registry import Registry
from tests.integration.control.commands import call, told

OLD = """
from engine import Pipeline, stage

@stage
def check(order: int) -> int: ...

@stage
def pack(order: int) -> int: ...

orders = Pipeline("orders", check | pack)
"""
RENAMED = OLD.replace("pack", "pack_all")
RETYPED = OLD.replace("def pack(order: int)", "def pack(order: str)").replace(
    "order: int) -> int: ...\n\n@stage", "order: int) -> str: ...\n\n@stage"
)
WIDER = OLD.replace("def pack(order: int)", "def pack(order: int | None)")


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Engine) -> Any:
    """Write a version of the code and name its module."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def write(source: str) -> str:
        names.append(f"{tmp_path.name}_v{len(names)}".replace("-", "_"))
        (tmp_path / f"{names[-1]}.py").write_text(source)
        return names[-1]

    return write


def checked(module: str, code: int, *words: str) -> str:
    with registry.isolated():
        return call("plans", "check", "-m", module, *words, code=code)


def start_old(engine: Engine, number: int) -> list[Any]:
    with registry.isolated():

        @stage
        def check(order: int) -> int:
            return order

        @stage
        def pack(order: int) -> int:
            return order

        return Pipeline("orders", check | pack).start_many(list(range(number)))


def test_live_runs_are_counted_by_plan_and_ended_ones_left_out(
    engine: Engine, worker: Worker
) -> None:
    gate = threading.Event()

    @stage
    def held(n: int) -> int:
        if n:
            gate.wait(10)
        return n

    @stage
    def never(n: int) -> int:
        return n

    flow = Pipeline("holding", held)
    runs = flow.start_many([0, 1, 1])
    before = engine.store.queues.now_ms()
    never.send(1, delay="1h")
    worker.start()
    assert runs[0].result("10s") == 0
    found = plans.live(engine.store, engine.definitions)
    assert [(one.pipeline, one.live, one.in_code) for one in found.plans] == [
        ("holding", 2, True),
        ("never", 1, True),
    ]
    assert found.complete
    assert found.plans[0].hash == flow.plan().hash
    assert before - 10_000 < found.plans[0].since_ms <= before
    assert {one.in_code for one in plans.live(engine.store, Registry()).plans} == {False}
    assert not plans.live(engine.store, engine.definitions, looked_at_most=3).complete
    gate.set()
    for run in runs:
        run.wait("10s")
    assert [one.pipeline for one in plans.live(engine.store, engine.definitions).plans] == ["never"]


def test_the_walk_over_many_pages_counts_every_run(engine: Engine) -> None:
    start_old(engine, 1_203)
    [one] = plans.live(engine.store, engine.definitions).plans
    assert (one.live, one.in_code) == (1_203, False)


def test_plans_are_listed_for_people_and_machines(commands: Engine, versions: Any) -> None:
    start_old(commands, 2)
    same, other = versions(OLD), versions(RENAMED)
    with registry.isolated():
        [listed] = told("plans", "-m", same)
    assert (listed["pipeline"], listed["live"], listed["in_code"]) == ("orders", 2, True)
    with registry.isolated():
        assert "orders" in call("plans", "-m", same)
    with registry.isolated():
        [listed] = told("plans", "-m", other)
    assert not listed["in_code"]


def test_a_deploy_that_would_strand_a_run_fails_the_check(commands: Engine, versions: Any) -> None:
    runs = start_old(commands, 2)
    assert "all 2 live runs of 1 plans" in checked(versions(OLD), 0)
    assert checked(versions(WIDER), 0)
    renamed = checked(versions(RENAMED), 1).splitlines()
    assert len(renamed) == 1
    for word in ("(orders, 2 live runs): stage 'pack' is missing", "'pack_all'?", "keep the stage"):
        assert word in renamed[0]
    assert runs[0].view().plan is not None
    assert runs[0].view().plan.hash in renamed[0]
    retyped = checked(versions(RETYPED), 1)
    assert "stage 'pack' no longer takes its old input: takes string, was integer" in retyped
    for run in runs:
        run.cancel()
    assert "all 0 live runs" in checked(versions(RENAMED), 0)


def test_a_check_that_did_not_see_all_runs_does_not_pass(commands: Engine, versions: Any) -> None:
    start_old(commands, 3)
    assert checked(versions(OLD), 1, "--look-at", "2") == ""
    assert checked(versions(OLD), 0, "--look-at", "3")


def test_a_plan_that_is_gone_or_unreadable_is_told(commands: Engine, versions: Any) -> None:
    [run] = start_old(commands, 1)
    store = commands.store
    plan = store.links.keys.name("plan", hash=run.view().plan.hash)
    store.links.command("SET", plan, b"{")
    assert "not stored, or was written by a newer engine" in checked(versions(RENAMED), 1)
