"""Every kind of step compiles to the very plan that the same pipeline in Python has."""

from __future__ import annotations

import json

import pytest

from engine import Page, Pipeline, each, first, gather, sleep, stage, wait_for
from engine.errors import ExpressionFailed, NoCaseMatches
from engine.flows import load
from engine.workflow.nodes import (
    BackNode,
    ChildNode,
    ChooseNode,
    RelayNode,
    RepeatNode,
    StageNode,
    WaitNode,
)
from tests.unit.flows.interpreter import ScopedInterpreter


@pytest.fixture(autouse=True)
def stages(definitions):
    @stage(queue="numbers", priority=7)
    def inc(n: int) -> int:
        return n + 1

    @stage
    def double(n: int) -> int:
        return n * 2

    @stage
    def dec(n: int) -> int:
        return n - 1

    @stage
    def upto(n: int) -> list[int]:
        return list(range(n))

    @stage
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @stage
    def show(value: object) -> str:
        return json.dumps(value)

    @stage
    def add(a: int, b: int, c: int = 100) -> int:
        return a + b + c

    @stage
    def page(mark: int) -> Page[int, int]:
        return Page([mark])

    return definitions


def document(*steps, **fields):
    return {"name": "same", "steps": list(steps), **fields}


def walked(flow, definitions, value):
    given = flow.payload(json.dumps(value).encode())
    return json.loads(ScopedInterpreter(flow.plan(), definitions).run(given))


def same(definitions, steps, flow) -> None:
    declared = load(document(*steps))
    assert declared.plan() == Pipeline("same", flow).plan()
    assert declared.plan().hash == Pipeline("same", flow).plan().hash


def named(definitions, *names):
    return [definitions.stage(name) for name in names]


def test_a_stage(definitions) -> None:
    (inc,) = named(definitions, "inc")
    same(definitions, ["inc"], inc)
    same(definitions, [{"stage": "inc", "id": "one", "description": "adds one"}], inc)


def test_a_sequence(definitions) -> None:
    inc, double = named(definitions, "inc", "double")
    same(definitions, ["inc", "double"], inc | double)
    same(definitions, [{"steps": ["inc", "double"]}, "inc"], inc | double | inc)
    same(definitions, [["inc", "double"], "inc"], inc | double | inc)


def test_a_parallel_group(definitions) -> None:
    inc, double, total = named(definitions, "inc", "double", "total")
    branches = ["inc", ["double", "inc"]]
    same(definitions, [{"parallel": branches}, "total"], (inc & (double | inc)) | total)


@pytest.mark.parametrize("need", ["all", "ended", 1, 2])
def test_a_group_with_a_need(definitions, need) -> None:
    inc, double = named(definitions, "inc", "double")
    same(
        definitions, [{"parallel": ["inc", "double"], "need": need}], gather(inc, double, need=need)
    )


def test_a_race(definitions) -> None:
    inc, double = named(definitions, "inc", "double")
    same(definitions, [{"first": ["inc", "double"]}], first(inc, double))


def test_an_each(definitions) -> None:
    upto, inc, double, page = named(definitions, "upto", "inc", "double", "page")
    same(definitions, ["upto", {"each": "inc"}], upto | each(inc))
    steps = ["upto", {"each": ["inc", "double"], "window": 3, "on_error": "collect"}]
    same(definitions, steps, upto | each(inc | double, window=3, on_error="collect"))
    same(definitions, [{"each": "inc", "pages": "page"}], each(inc, pages=page))


def test_a_wait(definitions) -> None:
    inc, double = named(definitions, "inc", "double")
    same(definitions, ["inc", {"wait_for": "approved"}], inc | wait_for("approved"))
    waits = {"wait_for": "approved", "timeout": "7d", "otherwise": "double"}
    flow = inc | wait_for("approved", timeout="7d", otherwise=double) | inc
    same(definitions, ["inc", waits, "inc"], flow)


def test_a_sleep(definitions) -> None:
    inc, double = named(definitions, "inc", "double")
    same(definitions, ["inc", {"sleep": "3d"}, "double"], inc | sleep("3d") | double)


def test_an_undo(definitions) -> None:
    inc, dec, double = named(definitions, "inc", "dec", "double")
    same(definitions, [{"stage": "inc", "undo": "dec"}, "double"], inc.undo(dec) | double)


def test_a_child_pipeline(definitions) -> None:
    inc, double = named(definitions, "inc", "double")
    child = Pipeline("child", inc | double)
    same(definitions, ["inc", {"pipeline": "child"}, "double"], inc | child | double)


def test_a_declared_flow_can_be_a_child_once_it_is_registered(definitions) -> None:
    load(document("inc", "double") | {"name": "declared-child"}, register=True)
    plan = load(document({"pipeline": "declared-child"})).plan()
    (child,) = (node for node in plan.nodes if isinstance(node, ChildNode))
    assert child.plan == definitions.pipeline("declared-child").plan().hash


def test_a_choose_takes_the_first_condition_that_holds(definitions) -> None:
    flow = load(
        document(
            "inc",
            {
                "choose": [
                    {"when": "value > 100", "then": "double"},
                    {"when": "value > 10", "then": ["inc", "inc"]},
                ],
                "otherwise": "dec",
            },
        )
    )
    assert [walked(flow, definitions, n) for n in (200, 50, 1)] == [402, 53, 1]
    (choose,) = (node for node in flow.plan().nodes if isinstance(node, ChooseNode))
    assert choose.when == ("cel?:value > 100", "cel?:value > 10")


def test_a_choose_by_the_name_of_a_case(definitions) -> None:
    cases = {"big": "double", "small": "inc"}
    flow = load(document({"choose": "value > 9 ? 'big' : 'small'", "cases": cases}))
    assert [walked(flow, definitions, n) for n in (10, 3)] == [20, 4]


def test_a_choose_without_a_fitting_case_says_so(definitions) -> None:
    flow = load(document({"choose": [{"when": "value > 9", "then": "inc"}]}))
    with pytest.raises(NoCaseMatches, match="none of the conditions"):
        walked(flow, definitions, 1)
    flow = load(document({"choose": "'huge'", "cases": {"big": "inc"}}))
    with pytest.raises(NoCaseMatches, match="huge"):
        walked(flow, definitions, 1)


def test_a_repeat_ends_when_its_condition_holds(definitions) -> None:
    flow = load(document({"repeat": ["inc", "double"], "until": "value > 100", "limit": 20}, "dec"))
    value = 1
    while value <= 100:
        value = (value + 1) * 2
    assert walked(flow, definitions, 1) == value - 1
    kinds = [type(node) for node in flow.plan().nodes]
    assert (kinds.count(RepeatNode), kinds.count(BackNode)) == (1, 1)


def test_a_pause_between_rounds(definitions) -> None:
    flow = load(document({"repeat": "inc", "until": "value > 3", "every": "5s"}))
    (node,) = (node for node in flow.plan().nodes if isinstance(node, RepeatNode))
    assert (node.every_ms, node.limit) == (5_000, 1_000)


def test_a_sleep_until_a_moment(definitions) -> None:
    flow = load(document("inc", {"sleep_until": "timestamp('2030-01-01T00:00:00Z')"}, "double"))
    assert walked(flow, definitions, 1) == 4
    (relay,) = (node for node in flow.plan().nodes if isinstance(node, RelayNode))
    assert relay.until == "cel@:timestamp('2030-01-01T00:00:00Z')"
    wrong = load(document("inc", {"sleep_until": "'tomorrow'"}, "double"))
    with pytest.raises(ExpressionFailed, match="no moment"):
        walked(wrong, definitions, 1)


def test_a_wait_stands_in_the_plan_with_its_own_way_out(definitions) -> None:
    flow = load(document("inc", {"wait_for": "ok", "timeout": "1h", "otherwise": ["dec", "dec"]}))
    (wait,) = (node for node in flow.plan().nodes if isinstance(node, WaitNode))
    assert (wait.name, wait.timeout_ms) == ("ok", 3_600_000)


def test_a_step_is_bound_to_earlier_results(definitions) -> None:
    flow = load(
        document(
            "inc",
            {"stage": "double", "id": "twice"},
            {"stage": "add", "bind": "[steps.inc.output, steps.twice.output, input]"},
            context={"unused": 1},
        )
    )
    assert walked(flow, definitions, 5) == 6 + 12 + 5


def test_inputs_are_bound_by_name_and_defaults_fill_up(definitions) -> None:
    inputs = {"b": {"cel": "value * 10"}, "a": {"value": 1}}
    flow = load(document("inc", {"stage": "add", "bind": {"inputs": inputs}}))
    assert walked(flow, definitions, 1) == 1 + 20 + 100
    (bound,) = (node for node in flow.plan().nodes if getattr(node, "bind", None))
    assert bound.bind == ("json:1", "cel:value * 10", "json:100")
    alone = load(document({"stage": "inc", "bind": {"inputs": {"n": "value.x"}}}))
    assert walked(alone, definitions, {"x": 4}) == 5


def test_bindings_at_the_top_are_those_of_the_steps(definitions) -> None:
    steps = ["inc", {"stage": "show", "bind": "steps.inc.output"}]
    at_top = document("inc", "show", bindings={"show": "steps.inc.output"})
    assert load(document(*steps)).plan() == load(at_top).plan()


def test_context_and_input_are_read_anywhere(definitions) -> None:
    flow = load(
        document(
            "upto",
            {"each": [{"stage": "add", "bind": "[value, context.more, input]"}]},
            {"stage": "show", "bind": "{all: value, first: input}"},
            context={"more": 1000},
        )
    )
    assert json.loads(walked(flow, definitions, 2)) == {"all": [1002, 1003], "first": 2}


def test_a_child_reads_what_flows_into_it_as_its_input(definitions) -> None:
    child = load(document("inc", {"stage": "show", "bind": "{given: input, context: context}"}))
    given = ScopedInterpreter(child.plan(), definitions).run(b"3")
    assert json.loads(json.loads(given)) == {"given": 3, "context": {}}


def test_every_kind_of_step_can_be_bound(definitions) -> None:
    kinds = [
        {"each": "inc", "bind": "steps.upto.output"},
        {"parallel": ["inc", "double"], "bind": "input"},
        {"choose": [{"when": "value == 3", "then": "inc"}], "bind": "input"},
        {"repeat": "inc", "until": "value > 5", "bind": "input"},
        {"sleep": "1s", "bind": "input"},
        {"steps": ["inc", "double"], "bind": "input"},
    ]
    expected = [[1, 2, 3], [4, 6], 4, 6, 3, 8]
    for kind, result in zip(kinds, expected, strict=True):
        assert walked(load(document("upto", kind)), definitions, 3) == result


def test_the_result_of_a_whole_group_is_read_by_its_id(definitions) -> None:
    flow = load(
        document(
            {"parallel": ["inc", "double"], "id": "both"},
            "total",
            {"choose": [{"when": "value > 5", "then": "inc"}], "otherwise": "dec", "id": "way"},
            {"stage": "show", "bind": "[steps.both.output, steps.way.output]"},
        )
    )
    assert json.loads(walked(flow, definitions, 3)) == [[4, 6], 11]


def test_a_flow_without_expressions_is_not_expressive(definitions) -> None:
    assert not load(document("inc", {"sleep": "1s"}, "double")).plan().expressive
    assert load(document({"repeat": "inc", "until": "value > 1"})).plan().expressive
    assert load(document("inc", {"stage": "show", "bind": "value"})).plan().expressive


def test_a_plan_without_expressions_is_written_as_before(definitions) -> None:
    plan = load(document("inc")).plan()
    assert set(json.loads(plan.to_json())) == {"name", "nodes", "shapes"}
    assert isinstance(plan.nodes[0], StageNode)
    assert set(json.loads(plan.to_json())["nodes"][0]) == {
        "kind", "stage", "queue", "priority", "next",
    }  # fmt: skip
