"""What is drawn: a shape for every node, an arrow for every way between two.

Owns: the words on the shapes and arrows. Must not: know a format or where anything stands.

All nodes lead to nodes behind them in reading order; an arrow that does not is a loop's, or brings
a page's items back to their each.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from engine.workflow.drawing.progress import State, Status, progress
from engine.workflow.drawing.words import length
from engine.workflow.nodes import (
    BackNode,
    ChildNode,
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    Node,
    PagesNode,
    RelayNode,
    RepeatNode,
    StageNode,
    WaitNode,
)
from engine.workflow.plan import Plan

if TYPE_CHECKING:
    from engine.workflow.run import RunView


class Form(StrEnum):
    """What kind of thing a shape stands for."""

    STAGE = "stage"
    DOT = "dot"
    SLEEP = "sleep"
    FORK = "fork"
    JOIN = "join"
    EACH = "each"
    CHOICE = "choice"
    WAIT = "wait"
    CHILD = "child"
    LOOP = "loop"
    END = "end"
    UNDO = "undo"


class Shape(NamedTuple):
    """One shape: the node's number, or the stage that undoes that node's work.

    Attributes:
        id: `n3` for node 3, `u3` for what undoes it.
        number: of the node.
        title: the first line; empty on a dot.
        notes: further lines.
        state: of the run there; None in the drawing of a plan.
    """

    id: str
    number: int
    form: Form
    title: str
    notes: tuple[str, ...]
    state: State | None = None


class Arrow(NamedTuple):
    """One arrow between two shapes, by their ids."""

    source: str
    target: str
    label: str = ""
    is_back: bool = False
    is_dashed: bool = False


class Picture(NamedTuple):
    """Shapes in reading order, and the arrows between them."""

    name: str
    title: str
    description: str
    shapes: list[Shape]
    arrows: list[Arrow]


def pictured(plan: Plan, view: RunView | None = None) -> Picture:
    """Return what a drawing of the plan, or of a run on it, shows."""
    statuses = None if view is None else progress(plan, view)
    shapes: list[Shape] = []
    arrows: list[Arrow] = []
    for number, node in enumerate(plan.nodes):
        status = None if statuses is None else statuses[number]
        shapes += _shapes(plan, number, node, status)
        arrows += _arrows(plan, number, node)
    if view is None:
        described = f"Pipeline {plan.name}, plan {plan.hash}, {len(plan.nodes)} nodes."
        return Picture(f"p{plan.hash}", plan.name, described, shapes, arrows)
    described = f"Run {view.id} of {view.pipeline} is {view.state}."
    return Picture(f"r{view.id}", f"{view.pipeline}: {view.state}", described, shapes, arrows)


def _shapes(plan: Plan, number: int, node: Node, status: Status | None) -> list[Shape]:
    form, title, notes = _face(plan, node)
    state = None if status is None else status.state
    told = () if status is None else status.notes
    shapes = [Shape(f"n{number}", number, form, title, (*notes, *told), state)]
    if isinstance(node, StageNode) and node.undo is not None:
        undone = None if state is None else State.DONE if state is State.UNDONE else State.IDLE
        shapes.append(Shape(f"u{number}", number, Form.UNDO, node.undo.stage, ("undo",), undone))
    return shapes


def _face(plan: Plan, node: Node) -> tuple[Form, str, tuple[str, ...]]:  # noqa: C901, PLR0911 - one per kind of node
    match node:
        case StageNode():
            return Form.STAGE, node.stage, ()
        case PagesNode():
            return Form.STAGE, node.stage, ("page by page",)
        case RelayNode():
            return _relay_face(node)
        case ForkNode():
            return Form.FORK, "fork", ()
        case JoinNode():
            return Form.JOIN, _policy(node), ()
        case EachNode():
            collects = _joins_settling(plan, node)
            title = f"each, {node.window} at a time"
            return Form.EACH, title, ("errors collected",) if collects else ()
        case ChooseNode():
            return Form.CHOICE, node.decider, ()
        case WaitNode():
            return Form.WAIT, f"wait for {node.name}", _patience(node)
        case ChildNode():
            return Form.CHILD, node.pipeline, ("pipeline",)
        case RepeatNode():
            every = (f"every {length(node.every_ms)}",) if node.every_ms else ()
            rounds = f"at most {node.limit:,} rounds"
            return Form.LOOP, f"repeat until {node.until}", (rounds, *every)
        case BackNode():
            return Form.DOT, "", ()
        case EndNode():
            return Form.END, "end", ()


def _relay_face(node: RelayNode) -> tuple[Form, str, tuple[str, ...]]:
    if node.until is not None:
        return Form.SLEEP, f"sleep until {node.until}", ()
    if node.delay_ms:
        return Form.SLEEP, f"sleep {length(node.delay_ms)}", ()
    return Form.DOT, "", ()


def _policy(node: JoinNode) -> str:
    if node.members is None:
        return "join: every item"
    if node.settles:
        return f"join: all {node.members} ended"
    if node.bare:
        return f"join: first of {node.members}"
    return f"join: {node.need or 'all'} of {node.members}"


def _joins_settling(plan: Plan, each: EachNode) -> bool:
    join = plan.nodes[each.join]
    return isinstance(join, JoinNode) and join.settles


def _patience(node: WaitNode) -> tuple[str, ...]:
    if node.timeout_ms is None:
        return ()
    return (f"fails after {length(node.timeout_ms)}",) if node.otherwise is None else ()


def _arrows(plan: Plan, number: int, node: Node) -> list[Arrow]:
    arrows = [
        Arrow(f"n{number}", f"n{target}", label, is_back=target <= number)
        for label, target in _ways(plan, node)
    ]
    if isinstance(node, StageNode) and node.undo is not None:
        arrows.append(Arrow(f"n{number}", f"u{number}", is_dashed=True))
    return arrows


def _ways(plan: Plan, node: Node) -> list[tuple[str, int]]:  # noqa: PLR0911 - one per kind of node
    match node:
        case StageNode() | RelayNode() | JoinNode() | ChildNode():
            return [("", node.next)]
        case WaitNode():
            late = f"after {length(node.timeout_ms or 0)}"
            return [("", node.next), *_unless_none(late, node.otherwise)]
        case RepeatNode():
            return [("", node.body)]
        case BackNode():
            repeat = plan.nodes[node.repeat]
            until = f" until {repeat.until}" if isinstance(repeat, RepeatNode) else ""
            return [(f"again{until}", node.repeat), ("", node.next)]
        case PagesNode():
            return [("items", node.each)]
        case ForkNode():
            return [("", branch) for branch in node.branches]
        case EachNode():
            return [*_unless_none("pages", node.pages), ("item", node.body)]
        case ChooseNode():
            # An expression is known by its text; its language does not help who looks.
            cases = [
                (case.partition(":")[2] if case in node.when else case, to)
                for case, to in node.cases.items()
            ]
            return [*cases, *_unless_none("otherwise", node.otherwise)]
        case EndNode():
            return []


def _unless_none(label: str, target: int | None) -> list[tuple[str, int]]:
    return [] if target is None else [(label, target)]
