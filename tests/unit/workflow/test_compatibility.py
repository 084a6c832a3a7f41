"""Code and the plans that other code compiled: what would leave their runs stranded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine import Page, Pipeline, choose, each, repeat, sleep, stage
from engine.workflow import registry
from engine.workflow.compatibility import Strand, Trouble, strands
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry


def nowhere(plan: str) -> Plan | None:
    return None


@contextmanager
def version() -> Iterator[Registry]:
    """Definitions made within are those of one version of the code."""
    with registry.isolated() as code:
        yield code


def declared(name: str, takes: Any = int, queue: str = "default") -> Any:
    def work(value):
        return value

    work.__annotations__ = {"value": takes}
    return stage(name=name, queue=queue)(work)


def old_plan(*names: str, queue: str = "default", takes: Any = int) -> Plan:
    with version():
        flow = declared(names[0], takes, queue)
        for name in names[1:]:
            flow = flow | declared(name, takes, queue)
        return Pipeline("orders", flow).plan()


def told(plan: Plan, code: Registry) -> list[tuple[str, str]]:
    return [(strand.trouble.value, strand.name) for strand in strands(plan, code, nowhere)]


def test_the_same_code_strands_nobody() -> None:
    plan = old_plan("check", "pack")
    with version() as code:
        declared("check")
        declared("pack")
    assert strands(Plan.from_json(plan.to_json()), code, nowhere) == []


def test_a_stage_that_is_gone_is_missing_with_a_remedy() -> None:
    plan = old_plan("check", "pack")
    with version() as code:
        declared("check")
        declared("pack_all")
    [strand] = strands(plan, code, nowhere)
    assert strand == Strand(
        Trouble.MISSING_STAGE,
        plan.hash,
        "pack",
        "stage 'pack' is missing. Did you mean 'pack_all'?",
        "keep the stage until these runs have ended",
    )


def test_an_undo_a_reader_and_deciders_are_asked_for_too() -> None:
    def family(value: int) -> str:
        return "a"

    def enough(value: int) -> bool:
        return True

    def monday(value: int) -> Any:
        return None

    def read(mark: int) -> Page[int, int]:
        return Page()

    with version():
        body = declared("one").undo(declared("undo_one"))
        looped = repeat(declared("two"), until=enough)
        chosen = choose(family, {"a": body}, otherwise=looped)
        plan = Pipeline(
            "all", sleep(monday) | chosen | each(declared("three"), pages=stage(read))
        ).plan()
    assert plan.deciders() == ("monday", "family", "enough")
    with version() as code:
        declared("one")
        declared("two")
        declared("three")
    assert told(plan, code) == [
        ("missing_stage", "undo_one"),
        ("missing_stage", "read"),
        ("missing_decider", "monday"),
        ("missing_decider", "family"),
        ("missing_decider", "enough"),
    ]


def test_an_input_that_no_longer_takes_what_it_took_is_told() -> None:
    plan = old_plan("check", takes=int)
    with version() as code:
        declared("check", str)
    [strand] = strands(Plan.from_json(plan.to_json()), code, nowhere)
    assert (strand.trouble, strand.name) == (Trouble.INPUT_CHANGED, "check")
    assert "takes string, was integer" in strand.told
    with version() as wider:
        declared("check", int | str)
    assert strands(plan, wider, nowhere) == []


def test_a_deciders_input_is_looked_at_apart_from_a_stage_of_its_name() -> None:
    def check(value: int) -> str:
        return "a"

    with version():
        plan = Pipeline("p", choose(check, {"a": declared("check", int)})).plan()
    assert set(plan.shapes) == {"check", "check()"}

    def changed(value: str) -> str:
        return "a"

    changed.__name__ = "check"
    with version() as code:
        declared("check", int)
        choose(changed, {"a": declared("other", str)})
    [strand] = strands(plan, code, nowhere)
    assert strand.told.startswith("decider 'check' no longer takes")


def test_a_queue_that_nobody_serves_any_more_is_told() -> None:
    plan = old_plan("check", queue="slow")
    with version() as code:
        declared("check", queue="fast")
    assert told(plan, code) == [("missing_queue", "slow")]


def test_child_runs_are_followed_and_their_plans_looked_for() -> None:
    with version():
        child = Pipeline("inner", declared("deep"))
        parent = Pipeline("outer", declared("top") | child)
        plans = {child.plan().hash: child.plan()}
        plan = parent.plan()
    with version() as code:
        declared("top")
    [strand] = strands(plan, code, plans.get)
    assert (strand.trouble, strand.name, strand.plan) == (
        Trouble.MISSING_STAGE,
        "deep",
        child.plan().hash,
    )
    assert told(plan, code) == [("missing_plan", child.plan().hash)]


def test_a_hash_changes_with_the_types_and_with_nothing_else() -> None:
    assert old_plan("check", takes=int).hash == old_plan("check", takes=int).hash
    assert old_plan("check", takes=int).hash != old_plan("check", takes=str).hash
    with version():
        one, other = declared("alone", int), declared("alone", str)
    assert one.plan().hash != other.plan().hash


def test_a_plan_of_an_older_engine_has_no_shapes_and_is_judged_without() -> None:
    stage = b'{"kind":"stage","next":1,"queue":"default","stage":"a"}'
    raw = b'{"name":"p","nodes":[%b,{"kind":"end"}]}' % stage
    plan = Plan.from_json(raw)
    assert plan.to_json() == raw
    with version() as code:
        declared("a", str)
    assert strands(plan, code, nowhere) == []


@pytest.mark.parametrize("annotated", [False, True])
def test_an_input_without_a_type_is_left_out_of_the_plan(annotated: bool) -> None:
    plan = old_plan("check", takes=int if annotated else Any)
    assert ("shapes" in plan.to_json().decode()) is annotated
