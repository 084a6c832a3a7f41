"""Flows of every shape that can be composed, and what each of them must come to.

`evaluated` is the language in twenty lines: plain recursion, no plan, no messages. What a run gives
in whatever order must be what it gives.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from engine import Page, Pipeline, choose, each, first, gather, repeat, sleep, stage, wait_for
from engine.workflow import registry
from engine.workflow.choose import Choose
from engine.workflow.decider import Decider
from engine.workflow.each import Each
from engine.workflow.flow import Chain, Flow, Parallel
from engine.workflow.gather import First, Gather
from engine.workflow.registry import Registry
from engine.workflow.repeat import Repeat
from engine.workflow.stage import Stage
from engine.workflow.undo import Undoable
from engine.workflow.wait import Sleep, WaitFor

SIGNAL, SIGNALLED = "go", 7
"""What a test sends to whatever waits; every other signal never comes."""


class Dies(Exception):
    """Evaluated directly, the flow has no value."""


def tag(value):
    return ["tag", value]


def measure(value):
    return len(json.dumps(value))


def listed(value):
    return list(range(measure(value) % 4))


def none(value):
    return []


def brittle(value):
    if measure(value) % 3 == 0:
        raise Dies
    return measure(value)


def untag(value):
    return None


def present(values):
    return sum(value is not None for value in values)


def settled(values):
    return [value["value"] if value["ok"] else "dead" for value in values]


def paged(mark) -> Page[Any, Any]:
    at, size = mark["page"] if isinstance(mark, dict) else (0, measure(mark) % 5)
    items = list(range(at, at + (at + size) % 3))
    return Page(items, {"page": [at + 1, size]} if at < size else None)


def parity(value) -> str:
    return ("even", "odd", "neither")[measure(value) % 3]


def enough(value) -> bool:
    return measure(value) % 4 == 0


DEFINITIONS = Registry()
with registry.isolated(DEFINITIONS):
    TAG, MEASURE, LISTED, NONE, BRITTLE, UNTAG, PRESENT, SETTLED, PAGED = (
        stage(fn) for fn in (tag, measure, listed, none, brittle, untag, present, settled, paged)
    )
for decides in (parity, enough):
    DEFINITIONS.add_decider(Decider(decides))
LISTS: list[Flow] = [LISTED, NONE]
LEAVES: list[Flow] = [TAG, MEASURE, *LISTS]
UNDOABLE: list[Flow] = [TAG.undo(UNTAG), LISTED.undo(UNTAG)]
SHAPES = (
    ["stage"] * 2
    + ["brittle", "undoable", "sequence", "parallel", "each", "pair", "nested", "collect", "ended"]
    + ["pages", "choose", "quorum", "ended", "race", "repeat", "sleep", "wait", "timeout", "child"]
)


@st.composite
def flows(draw: st.DrawFn, depth: int = 3) -> Flow:  # noqa: C901, PLR0911, PLR0912 - one per shape
    shape = draw(st.sampled_from(SHAPES if depth else ["stage", "brittle", "undoable"]))
    window = draw(st.integers(1, 3))

    def inner() -> Flow:
        return draw(flows(depth - 1))

    match shape:
        case "brittle":
            return BRITTLE
        case "undoable":
            return draw(st.sampled_from(UNDOABLE))
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
        case "collect":
            items = draw(st.sampled_from(LISTS))
            return items | each(inner(), window=window, on_error="collect") | SETTLED
        case "pages":
            if draw(st.booleans()):
                return each(inner(), window=window, pages=PAGED)
            return each(inner(), window=window, pages=PAGED, on_error="collect") | SETTLED
        case "choose":
            otherwise = draw(st.booleans())
            cases = {"even": inner(), "odd": inner()}
            rest = inner()
            return choose(parity, cases if otherwise else {**cases, "neither": rest}, rest)
        case "quorum":
            return gather(inner(), inner(), inner(), need=draw(st.integers(1, 3))) | PRESENT
        case "ended":
            return gather(inner(), inner(), need="ended") | SETTLED
        case "race":
            # Whoever wins, the result is the same.
            racer = inner()
            return first(racer, racer)
        case "repeat":
            every = draw(st.sampled_from([None, "1h"]))
            return repeat(inner(), until=enough, limit=3, every=every)
        case "sleep":
            return inner() | sleep("1d") if draw(st.booleans()) else sleep("1d") | inner()
        case "wait":
            return wait_for(SIGNAL)
        case "timeout":
            return wait_for("never", timeout="3d", otherwise=draw(st.none() | flows(depth - 1)))
        case "child":
            return Pipeline(f"child-{depth}", inner())
        case _:
            return draw(st.sampled_from(LEAVES))


def evaluated(flow: Flow, value: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one per kind
    match flow:
        case Stage():
            return flow(value)
        case Undoable():
            return evaluated(flow.stage, value)
        case Chain():
            for part in flow.parts:
                value = evaluated(part, value)
            return value
        case First():
            return evaluated(flow.branches[0], value)
        case Parallel():
            return _met(flow, [_ended(branch, value) for branch in flow.branches])
        case Each():
            ends = [_ended(flow.body, item) for item in _items(flow, value)]
            return ends if flow.collect else [_value(end) for end in ends]
        case Choose():
            case = flow.cases.get(parity(value), flow.otherwise)
            return evaluated(case, value)
        case Sleep():
            return value
        case WaitFor(name=name, otherwise=otherwise):
            if name == SIGNAL:
                return SIGNALLED
            return evaluated(_or_dies(otherwise), value)
        case Repeat():
            for _ in range(flow.limit):
                value = evaluated(flow.body, value)
                if enough(value):
                    return value
            raise Dies
        case Pipeline():
            return evaluated(flow.flow, value)
    raise AssertionError(flow)


def _ended(flow: Flow, value: Any) -> dict[str, Any]:
    try:
        return {"ok": True, "value": evaluated(flow, value)}
    except Dies:
        return {"ok": False}


def _value(end: dict[str, Any]) -> Any:
    if not end["ok"]:
        raise Dies
    return end["value"]


def _met(flow: Parallel, ends: list[dict[str, Any]]) -> Any:
    if isinstance(flow, Gather) and flow.settles:
        return ends
    if not flow.need:
        return [_value(end) for end in ends]
    if sum(end["ok"] for end in ends) < flow.need:
        raise Dies
    return [True] * flow.need


def _items(flow: Each, value: Any) -> list[Any]:
    if flow.pages is None:
        return value
    items: list[Any] = []
    while True:
        page = paged(value)
        items += page.items
        if page.next is None:
            return items
        value = page.next


def _or_dies(flow: Flow | None) -> Flow:
    if flow is None:
        raise Dies
    return flow
