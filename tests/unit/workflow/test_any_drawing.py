"""Every flow that can be composed draws itself: one shape a node, one arrow a way, no overlap."""

from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Page, Pipeline, choose, each, first, gather, repeat, sleep, stage, wait_for
from engine.workflow import registry
from engine.workflow.compiler import compiled
from engine.workflow.drawing import draw
from engine.workflow.drawing.layout import laid_out
from engine.workflow.drawing.picture import pictured
from engine.workflow.flow import Flow
from engine.workflow.nodes import (
    BackNode,
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    Node,
    StageNode,
    WaitNode,
)
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.run import JoinView, RunState, RunView, StageView
from tests.unit.workflow.pictures import Drawn


def parity(value) -> str:
    return "even"


def enough(value) -> bool:
    return True


def moment(value):
    return None


def reader(mark) -> Page:
    return Page()


with registry.isolated(Registry()):
    LEAVES: list[Flow] = [stage(name=name)(lambda x: x) for name in ("a", "b" * 60, "c")]
    LEAVES.append(LEAVES[0].undo(LEAVES[2]))
    READER = stage(reader)
    CHILD = Pipeline("child", LEAVES[0])
    PAUSES = [sleep("3d"), sleep(moment), wait_for("ok"), CHILD]


@st.composite
def flows(draw: st.DrawFn, depth: int = 3) -> Flow:  # noqa: C901, PLR0911 - one per shape
    shapes = ["stage", "sequence", "parallel", "each", "choose", "pause", "wait", "repeat", "race"]
    shape = draw(st.sampled_from([*shapes, "pages"] if depth else ["stage", "pause"]))

    def inner() -> Flow:
        return draw(flows(depth - 1))

    with registry.isolated(Registry()):
        match shape:
            case "sequence":
                return inner() | LEAVES[0] | inner()  # it takes and gives anything
            case "parallel":
                return gather(inner(), inner(), need=draw(st.sampled_from(["all", "ended", 1, 2])))
            case "race":
                return first(inner(), inner(), inner())
            case "each":
                return each(inner(), on_error=draw(st.sampled_from(["fail", "collect"])))
            case "pages":
                return each(inner(), pages=READER)
            case "choose":
                case = draw(st.text(min_size=1, max_size=60))
                return choose(parity, {case: inner(), f"{case}2": inner()}, inner())
            case "wait":
                return wait_for("late", timeout="7d", otherwise=inner())
            case "repeat":
                body = LEAVES[0] | inner() | LEAVES[0]  # so that it takes what it gives
                return repeat(body, until=enough, every=draw(st.sampled_from([None, "2s"])))
            case "pause":
                return draw(st.sampled_from(PAUSES))
            case _:
                return draw(st.sampled_from(LEAVES))


@st.composite
def views(draw: st.DrawFn, plan: Plan) -> RunView | None:
    if draw(st.booleans()):
        return None
    suffix = st.sampled_from(["", ".0", ".1", ".0.3"])
    places = st.builds(lambda n, s: f"{n}{s}", st.integers(0, len(plan.nodes)), suffix)
    stages = draw(
        st.lists(
            st.builds(
                StageView,
                position=places,
                stage=st.just("s"),
                state=st.sampled_from(["open", "done", "dead"]),
                attempts=st.integers(0, 3),
                wait_ms=st.none() | st.integers(0, 10**9),
                run_ms=st.none() | st.integers(0, 10**9),
            ),
            max_size=8,
        )
    )
    joins = draw(
        st.lists(st.builds(JoinView, position=places, arrived=st.just(1), members=st.just(2)))
    )
    return RunView(
        id="1" * 32,
        pipeline="any",
        state=draw(st.sampled_from(RunState)),
        tenant="t",
        stages=tuple(stages),
        joins=tuple(joins),
    )


def ways_of(node: Node) -> int:  # noqa: PLR0911 - one per kind of node
    """How many arrows leave a node, counted apart from the drawing."""
    match node:
        case EndNode():
            return 0
        case ForkNode():
            return len(node.branches)
        case EachNode():
            return 1 + (node.pages is not None)
        case ChooseNode():
            return len(node.cases) + (node.otherwise is not None)
        case WaitNode():
            return 1 + (node.otherwise is not None)
        case BackNode():
            return 2
        case StageNode():
            return 1 + (node.undo is not None)
        case _:
            return 1


def undos(plan: Plan) -> int:
    return sum(isinstance(node, StageNode) and node.undo is not None for node in plan.nodes)


@settings(max_examples=150, deadline=None)
@given(flow=flows(), data=st.data())
def test_an_svg_has_one_shape_a_node_one_arrow_a_way_and_nothing_overlaps(
    flow: Flow, data: st.DataObject
) -> None:
    plan = compiled("any", flow)
    drawn = Drawn(draw(plan, "svg", data.draw(views(plan))))
    assert len(drawn.nodes) == len(plan.nodes)
    assert len(drawn.undos) == undos(plan)
    assert len(drawn.arrows) == sum(map(ways_of, plan.nodes))
    boxes = drawn.boxes()
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert 0 <= box.left < box.right <= drawn.width
        assert 0 <= box.top < box.bottom <= drawn.height


@settings(max_examples=150, deadline=None)
@given(flow=flows())
def test_arrows_that_lead_on_go_to_the_right_and_pass_through_no_shape(flow: Flow) -> None:
    layout = laid_out(pictured(compiled("any", flow)))
    for path in layout.paths:
        if path.arrow.is_back or path.arrow.is_dashed:
            continue
        xs = [point.x for point in path.points]
        assert xs == sorted(xs)
        straight = zip(path.points[::2], path.points[1::2], strict=True)
        bent = zip(path.points[1:-1:2], path.points[2:-1:2], strict=True)
        for start, end in straight:
            assert start.y == end.y
            for box in layout.boxes:
                beside = box.x + box.width <= start.x or end.x <= box.x
                assert beside or not box.y < start.y < box.y + box.height
        for start, end in bent:  # where no shape stands above or below
            assert all(box.x + box.width <= start.x or end.x <= box.x for box in layout.boxes)


@settings(max_examples=150, deadline=None)
@given(flow=flows(), data=st.data())
def test_a_flowchart_has_one_line_a_node_and_one_a_way(flow: Flow, data: st.DataObject) -> None:
    plan = compiled("any", flow)
    head, *lines = draw(plan, "mermaid", data.draw(views(plan))).splitlines()
    assert head == "flowchart LR"
    shapes = [line for line in lines if re.fullmatch(r'    [nu]\d+[\[({]+/?".*"/?[\])}]+', line)]
    arrow = r'    n\d+ (-->|-\.->)(\|"[^"]*"\|)? [nu]\d+'
    arrows = [line for line in lines if re.fullmatch(arrow, line)]
    classes = [line for line in lines if line.startswith(("    class ", "    classDef "))]
    assert len(shapes) == len(plan.nodes) + undos(plan)
    assert len(arrows) == sum(map(ways_of, plan.nodes))
    assert len(shapes) + len(arrows) + len(classes) == len(lines)
