"""Any document walks as the same pipeline in Python does, and its bindings give what they say."""

from __future__ import annotations

import json
from itertools import count
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import choose, each, gather, repeat, sleep, stage
from engine.flows import load, problems_of
from engine.workflow import registry
from engine.workflow.compiler import compiled
from engine.workflow.decider import Decider
from engine.workflow.flow import Flow
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from tests.unit.flows.interpreter import ScopedInterpreter


def tag(value):
    return ["tag", value]


def measure(value):
    return len(json.dumps(value))


def listed(value):
    return list(range(len(json.dumps(value)) % 4))


def climb(value):
    return len(value) if isinstance(value, list) else value + 1


def third(value) -> bool:
    return value % 3 == 0


def kind(value) -> str:
    return "list" if isinstance(value, list) else ("even", "odd")[value % 2]


def enough(value) -> bool:
    return isinstance(value, list) or value > 1


DEFINITIONS = Registry()
with registry.isolated(DEFINITIONS):
    STAGES = {fn.__name__: stage(fn) for fn in (tag, measure, listed, climb)}
DEFINITIONS.add_decider(Decider(kind))
DEFINITIONS.add_decider(Decider(third))

KIND = "type(value) == list ? 'list' : (value % 2 == 0 ? 'even' : 'odd')"
ENOUGH = "type(value) == list || value > 1"


class Both(NamedTuple):
    """The same part, written and composed."""

    step: Any
    flow: Flow


@st.composite
def parts(draw: st.DrawFn, depth: int = 4) -> Both:  # noqa: PLR0911 - one per shape
    shapes = ["sequence", "parallel", "each", "choose", "when", "repeat", "sleep"]
    shape = draw(st.sampled_from(["stage", "stage", *(shapes if depth else [])]))

    def inner() -> Both:
        return draw(parts(depth - 1))

    match shape:
        case "sequence":
            one, two = inner(), inner()
            return Both([one.step, two.step], one.flow | two.flow)
        case "parallel":
            one, two = inner(), Both("measure", STAGES["measure"])
            group = {"parallel": [one.step, two.step]}
            return Both([group, "tag"], gather(one.flow, two.flow) | STAGES["tag"])
        case "each":
            one, window = inner(), draw(st.integers(1, 3))
            steps = ["listed", {"each": one.step, "window": window}]
            return Both(steps, STAGES["listed"] | each(one.flow, window=window))
        case "choose":
            one, two, three = inner(), inner(), inner()
            cases = {"even": one.step, "odd": two.step}
            step = {"choose": KIND, "cases": cases, "otherwise": three.step}
            flow = choose(kind, {"even": one.flow, "odd": two.flow}, three.flow)
            return Both(step, flow)
        case "when":
            one, two = inner(), inner()
            whens = [{"when": ENOUGH, "then": one.step}, {"when": "true", "then": two.step}]
            flow = choose(_enough_case, {"True": one.flow, "False": two.flow})
            return Both({"choose": whens}, flow)
        case "repeat":
            step = {"repeat": "climb", "until": "value % 3 == 0", "limit": 9}
            return Both(step, repeat(STAGES["climb"], until=third, limit=9))
        case "sleep":
            one = inner()
            return Both([{"sleep": "5s"}, one.step], sleep("5s") | one.flow)
        case _:
            name = draw(st.sampled_from(list(STAGES)))
            return Both(name, STAGES[name])


def _enough_case(value) -> str:
    return str(enough(value))


DEFINITIONS.add_decider(Decider(_enough_case))


def walked(plan: Plan, payload: bytes, seed: int) -> tuple[Any, list[str]]:
    interpreter = ScopedInterpreter(plan, DEFINITIONS, seed)
    return json.loads(interpreter.run(payload)), interpreter.visited


def isolated(both: Both) -> tuple[Plan, Plan]:
    declared = load({"name": "any", "steps": [both.step]}, definitions=DEFINITIONS)
    return declared.plan(), compiled("any", both.flow)


@settings(max_examples=150, deadline=None)
@given(both=parts(), value=st.integers(0, 99), seed=st.integers(0, 99))
def test_a_document_and_the_same_python_walk_alike(both: Both, value: int, seed: int) -> None:
    declared, composed = isolated(both)
    payload = json.dumps(value).encode()
    assert walked(declared, payload, seed) == walked(composed, payload, seed)


@settings(max_examples=100, deadline=None)
@given(both=parts())
def test_plans_are_the_same_but_for_what_decides(both: Both) -> None:
    declared, composed = isolated(both)
    assert [_bare(node) for node in _nodes(declared)] == [_bare(node) for node in _nodes(composed)]
    assert Plan.from_json(declared.to_json()) == declared


def _nodes(plan: Plan) -> list[dict[str, Any]]:
    return json.loads(plan.to_json())["nodes"]


def _bare(node: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in node.items() if name not in ("decider", "until", "when")}
    if "cases" in kept:
        kept["cases"] = sorted(kept["cases"].values())
    return kept


# -- bindings: a document of steps that read each other, against a plain evaluation of it


def _outputs(steps: list[str]) -> list[str]:
    return [f"steps.{name}.output" for name in steps]


@st.composite
def documents(draw: st.DrawFn) -> list[Any]:
    numbers = count()

    def reading(visible: list[str]) -> str:
        names = ["value", "input", "context.c", *_outputs(visible)]
        return f"[{', '.join(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)))}]"

    def step(visible: list[str], depth: int, *, many: bool) -> tuple[Any, str]:
        name = f"s{next(numbers)}"
        shape = draw(st.sampled_from(["stage"] * 3 + ["parallel", "each", "choose"] * bool(depth)))
        made: dict[str, Any] = {"id": name}
        if draw(st.booleans()):
            made["bind"] = reading(visible)
        if shape == "parallel":
            made["parallel"] = [steps(visible, depth - 1, many=many) for _ in range(2)]
        elif shape == "each":
            made["bind"] = reading(visible)
            made["each"] = steps(visible, depth - 1, many=True)
        elif shape == "choose":
            read = draw(st.sampled_from(["context.c", "input", *_outputs(visible)]))
            made["choose"] = [
                {"when": f"type({read}) == list", "then": steps(visible, depth - 1, many=many)}
            ]
            made["otherwise"] = steps(visible, depth - 1, many=many)
        else:
            made["stage"] = draw(st.sampled_from(["tag", "measure"]))
        return made, name

    def steps(visible: list[str], depth: int, *, many: bool) -> list[Any]:
        found, seen = [], list(visible)
        for _ in range(draw(st.integers(1, 3))):
            made, name = step(seen, depth, many=many)
            found.append(made)
            if not many:
                seen.append(name)
        return found

    return steps([], 2, many=False)


def evaluated(step: Any, value: Any, scope: dict[str, Any]) -> Any:
    if isinstance(step, list):
        scope = dict(scope)
        for part in step:
            value = evaluated(part, value, scope)
            scope[f"steps.{part['id']}.output"] = value
        return value
    if "bind" in step:
        names = step["bind"].strip("[]").split(", ")
        value = [value if name == "value" else scope[name] for name in names]
    if "parallel" in step:
        return [evaluated(branch, value, scope) for branch in step["parallel"]]
    if "each" in step:
        return [evaluated(step["each"], item, scope) for item in value]
    if "choose" in step:
        read = step["choose"][0]["when"].removeprefix("type(").removesuffix(") == list")
        holds = isinstance(scope[read], list)
        return evaluated(step["choose"][0]["then"] if holds else step["otherwise"], value, scope)
    return DEFINITIONS.stage(step["stage"])(value)


@settings(max_examples=150, deadline=None)
@given(steps=documents(), value=st.integers(0, 99), seed=st.integers(0, 99))
def test_bindings_give_what_a_plain_evaluation_gives(steps: list, value: int, seed: int) -> None:
    document = {"name": "any", "steps": steps, "context": {"c": [1, 2]}}
    assert problems_of(document, definitions=DEFINITIONS) == []
    flow = load(document, definitions=DEFINITIONS)
    result, _ = walked(flow.plan(), flow.payload(json.dumps(value).encode()), seed)
    assert result == evaluated(steps, value, {"input": value, "context.c": [1, 2]})
