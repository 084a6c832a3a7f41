"""A replay: what a new run begins with that reuses the results of an ended one.

Owns: which results are reused, and the edges that are left to begin with. Must not: know the store,
or run anything.

Reused is what lies before the stage to replay from, or beside it, and has its result kept. Results
inside an each or a repeat are not kept one by one: such a part is reused as a whole where the stage
behind it has a result, and runs again where that stage itself is to run. The same holds for waits
and child runs. What the new run did not do itself it never undoes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from engine.workflow.edges import (
    Arrive,
    Edge,
    OpenEach,
    OpenJoin,
    Send,
    StartChild,
    Undo,
    Wait,
)
from engine.workflow.nodes import (
    BackNode,
    ChildNode,
    ChooseNode,
    EachNode,
    ForkNode,
    Node,
    PagesNode,
    RepeatNode,
    StageNode,
    WaitNode,
)
from engine.workflow.plan import Plan
from engine.workflow.positions import node_of
from engine.workflow.transitions import Decide, PlanOf, begin, follow, no_children


class Past(NamedTuple):
    """What is kept of the ended run.

    Attributes:
        input: its input, JSON.
        results: position to result, JSON, for the stages outside any each and repeat.
        seen: positions at which a stage has ended, well or badly.
    """

    input: bytes
    results: Mapping[str, bytes]
    seen: Collection[str]


class Replay(NamedTuple):
    """How the new run begins.

    Attributes:
        edges: what follows the results that are reused.
        reused: positions whose results are reused.
        again: positions before or beside the stage that run again, as their results are not kept.
    """

    edges: list[Edge]
    reused: tuple[str, ...]
    again: tuple[str, ...]


def places_of_stage(plan: Plan, stage: str) -> list[int]:
    """Return the numbers of the nodes that run a stage."""
    return [
        number
        for number, node in enumerate(plan.nodes)
        if isinstance(node, StageNode | PagesNode) and node.stage == stage
    ]


def replayed(
    plan: Plan, past: Past, at: int, decide: Decide, plan_of: PlanOf = no_children
) -> Replay | None:
    """Return how a run begins that replays another from node `at`; None if that never got there.

    Raises: as `transitions.begin`.
    """
    reuse = _Reuse(plan, past.results, at, decide, plan_of)
    edges = reuse.expanded(begin(plan, past.input, decide, plan_of))
    heads = [number for edge in edges if (number := _number_of(edge)) is not None]
    reached = str(at) in past.seen or at in heads or at in _nested(plan)
    if not reached or at not in _behind(plan, heads):
        return None
    again = [
        _place_of(edge)
        for edge in edges
        if isinstance(edge, Send | OpenEach | Wait | StartChild)
        and _number_of(edge) != at
        and _number_of(edge) not in reuse.behind
    ]
    return Replay(edges, reuse.reused, tuple(again))


def replayable(plan: Plan, past: Past, decide: Decide, plan_of: PlanOf = no_children) -> list[str]:
    """Return the stages that a run can be replayed from, in reading order."""
    return [
        stage
        for stage in plan.stages()
        if any(replayed(plan, past, at, decide, plan_of) for at in places_of_stage(plan, stage))
    ]


class _Reuse:
    """Replaces what has a result by what follows it, again and again."""

    def __init__(
        self, plan: Plan, results: Mapping[str, bytes], at: int, decide: Decide, plan_of: PlanOf
    ) -> None:
        self._plan, self._results = plan, results
        self._decide, self._plan_of = decide, plan_of
        self.behind = _behind(plan, [at])
        # Those whose branches are skipped as a whole count, too: later stages may ask for them.
        self.reused = tuple(sorted(filter(self._has, results), key=node_of))
        self._skipped: set[int] = set()

    def expanded(self, edges: Iterable[Edge]) -> list[Edge]:
        left: list[Edge] = []
        for edge in edges:
            if isinstance(edge, Undo) or _number_of(edge) in self._skipped:
                continue
            position = _leads_to(edge)
            if position is None or not self._has(position):
                left.append(edge)
                continue
            if isinstance(edge, OpenJoin):
                self._skip_branches(node_of(edge.join))
            result = self._results[position]
            left += self.expanded(follow(self._plan, position, result, self._decide, self._plan_of))
        return left

    def _has(self, position: str) -> bool:
        return (
            "." not in position
            and not position.startswith("~")
            and position in self._results
            and node_of(position) not in self.behind
        )

    def _skip_branches(self, join: int) -> None:
        """The result behind a join stands for all that led to it."""
        for number, node in enumerate(self._plan.nodes):
            if isinstance(node, ForkNode) and node.join == join:
                self._skipped.update(range(number, join + 1))


def _leads_to(edge: Edge) -> str | None:
    """The position whose result makes an edge needless."""
    match edge:
        case Send() | OpenJoin():
            return edge.position
        case OpenEach():
            return edge.join.position
        case Wait() | StartChild():
            return edge.successor.position
        case _:
            return None


def _place_of(edge: Send | OpenEach | Wait | StartChild) -> str:
    match edge:
        case Send():
            return edge.position
        case OpenEach():
            return edge.first.position
        case Wait():
            return edge.wait
        case StartChild():
            return edge.child


def _number_of(edge: Edge) -> int | None:
    match edge:
        case OpenJoin() | Arrive():
            return node_of(edge.join)
        case Send() | OpenEach() | Wait() | StartChild():
            return node_of(edge.each if isinstance(edge, OpenEach) else _place_of(edge))
        case _:
            return None


def _behind(plan: Plan, first: Iterable[int]) -> set[int]:
    """The nodes themselves and all that can follow them."""
    found: set[int] = set()
    waiting = list(first)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += _after(plan.nodes[number])
    return found


def _after(node: Node) -> list[int]:  # noqa: PLR0911 - one per kind of node
    match node:
        case ForkNode():
            return list(node.branches)
        case EachNode():
            return [node.body, node.join, *([node.pages] if node.pages is not None else [])]
        case PagesNode():
            return [node.each]
        case ChooseNode():
            rest = [] if node.otherwise is None else [node.otherwise]
            return [*node.cases.values(), *rest]
        case WaitNode():
            return [node.next, *([node.otherwise] if node.otherwise is not None else [])]
        case RepeatNode():
            return [node.body]
        case BackNode():
            return [node.repeat, node.next]
        case ChildNode():
            return [node.next]
        case _:
            following = getattr(node, "next", None)
            return [] if following is None else [following]


def _nested(plan: Plan) -> set[int]:
    """The nodes inside an each or a repeat."""
    found: set[int] = set()
    for number, node in enumerate(plan.nodes):
        if isinstance(node, EachNode):
            found.update(range(number + 1, node.join))
        elif isinstance(node, BackNode):
            found.update(range(node.repeat + 1, number + 1))
    return found
