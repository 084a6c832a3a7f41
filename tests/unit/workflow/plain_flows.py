"""Flows of stages, groups, eaches and choices alone: what a plain interpreter can walk."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from engine import choose, each, stage
from engine.workflow import registry
from engine.workflow.decider import Decider
from engine.workflow.flow import Flow
from engine.workflow.registry import Registry


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
