"""Every flow that can be composed ends exactly once, with the result of evaluating it directly."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import choose, each, stage
from engine.workflow import registry
from engine.workflow.choose import Choose
from engine.workflow.compiler import compiled
from engine.workflow.decider import Decider
from engine.workflow.each import Each
from engine.workflow.flow import Chain, Flow, Parallel
from engine.workflow.plan import EachNode, JoinNode, MessageNode, Plan
from engine.workflow.registry import Registry
from engine.workflow.stage import Stage
from tests.unit.workflow.interpreter import Interpreter


def tag(value):
    return ["tag", value]


def measure(value):
    return len(json.dumps(value))


def listed(value):
    return list(range(measure(value) % 4))


def none(value):
    return []


def parity(value) -> str:
    return ("even", "odd", "neither")[measure(value) % 3]


def evaluated(flow: Flow, value: Any) -> Any:
    match flow:
        case Stage():
            return flow(value)
        case Chain():
            for part in flow.parts:
                value = evaluated(part, value)
            return value
        case Parallel():
            return [evaluated(branch, value) for branch in flow.branches]
        case Each():
            return [evaluated(flow.body, item) for item in value]
        case Choose():
            case = flow.cases.get(parity(value), flow.otherwise)
            return evaluated(case, value)
    raise AssertionError(flow)


DEFINITIONS = Registry()
with registry.isolated(DEFINITIONS):
    LEAVES: list[Flow] = [stage(fn) for fn in (tag, measure, listed, none)]
    LISTS = LEAVES[2:]
DEFINITIONS.add_decider(Decider(parity))


@st.composite
def flows(draw: st.DrawFn, depth: int = 4) -> Flow:  # noqa: PLR0911 - one per shape
    shapes = ["stage"] * 2 + ["sequence", "parallel", "each", "pair", "nested", "choose"]
    shape = draw(st.sampled_from(shapes if depth else ["stage"]))
    window = draw(st.integers(1, 3))

    def inner() -> Flow:
        return draw(flows(depth - 1))

    match shape:
        case "sequence":
            return inner() | inner()
        case "parallel":
            return inner() & inner()
        case "each":
            return draw(st.sampled_from(LISTS)) | each(inner(), window=window)
        case "pair":
            return (inner() & inner()) | each(inner(), window=window)
        case "nested":
            lists = draw(st.sampled_from(LISTS)) | each(draw(st.sampled_from(LISTS)))
            return lists | each(each(inner(), window=window))
        case "choose":
            otherwise = draw(st.booleans())
            cases = {"even": inner(), "odd": inner()}
            rest = inner()
            return choose(parity, cases if otherwise else {**cases, "neither": rest}, rest)
        case _:
            return draw(st.sampled_from(LEAVES))


FLOWS = flows()


@settings(max_examples=300, deadline=None)
@given(flow=FLOWS, value=st.integers(0, 999), seed=st.integers(0, 99))
def test_a_flow_gives_what_direct_evaluation_gives(flow: Flow, value: int, seed: int) -> None:
    plan = compiled("any", flow)
    result = Interpreter(plan, DEFINITIONS, seed).run(json.dumps(value).encode())
    assert json.loads(result) == evaluated(flow, value)


@settings(max_examples=200, deadline=None)
@given(flow=FLOWS)
def test_joins_lead_to_messages_and_eaches_begin_with_them(flow: Flow) -> None:
    nodes = compiled("any", flow).nodes
    for node in nodes:
        if isinstance(node, JoinNode):
            assert isinstance(nodes[node.next], MessageNode)
        if isinstance(node, EachNode):
            assert isinstance(nodes[node.body], MessageNode)


@settings(max_examples=100, deadline=None)
@given(flow=FLOWS)
def test_a_plan_is_the_same_after_its_json(flow: Flow) -> None:
    plan = compiled("any", flow)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert again.hash == plan.hash
