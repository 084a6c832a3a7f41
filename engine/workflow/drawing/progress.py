"""How far a run is at every node of its plan.

Owns: the states of nodes and their words. Must not: know how they look.

The store keeps what became of stages. What stands between them (forks, joins, choices, loops) is
told from its neighbours: it was passed if the run has come to it and has begun something behind it.
Inside an each or a repeat there may be no record of a single stage; such a node is as far as the
loop around it, unless a choice decides whether it is reached at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from engine.workflow.drawing.words import took
from engine.workflow.nodes import (
    BackNode,
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
    from engine.workflow.run import RunView, StageView


class State(StrEnum):
    """How far a run is at one node; the value is the word for people."""

    IDLE = "not begun"
    ACTIVE = "under way"
    RETRIED = "trying again"
    DONE = "done"
    DEAD = "dead"
    CAUGHT = "caught"
    UNDONE = "undone"


class Status(NamedTuple):
    """A node's state, and lines about it."""

    state: State
    notes: tuple[str, ...] = ()


def progress(plan: Plan, view: RunView) -> list[Status]:
    """Return a status for every node, in the order of the nodes."""
    return _Reading(plan, view).statuses()


class _Reading:
    """One reading of a view against its plan."""

    def __init__(self, plan: Plan, view: RunView) -> None:
        self.nodes = plan.nodes
        self.view = view
        self.seen, self.undone = _by_node(plan, view.stages)
        self.arrived = {join.position: join for join in view.joins}
        self.ways = [_ways(node) for node in plan.nodes]
        self.loops = _loops(plan.nodes)
        for loop in filter(None, dict.fromkeys(self.loops)):
            self.ways[loop.opens].append(loop.closes)
        self.passed = self._passed()

    def statuses(self) -> list[Status]:
        found = [self._status(number, node) for number, node in enumerate(self.nodes)]
        return [self._with_loop(number, status, found) for number, status in enumerate(found)]

    # -- what stands between stages

    def _passed(self) -> list[bool]:
        """Whether the run went through each node that leaves no record."""
        count = len(self.nodes)
        leads = [False] * count
        for number in reversed(range(count)):
            leads[number] = any(self._is_begun(way, leads) for way in self.ways[number])
        self.reached = [number == 0 for number in range(count)]
        passed = [False] * count
        for number in range(count):
            ended = self._is_over(number)
            passed[number] = not _is_recorded(self.nodes[number]) and (
                self.reached[number] and leads[number]
            )
            for way in self.ways[number]:
                self.reached[way] = self.reached[way] or passed[number] or ended
        return passed

    def _is_begun(self, number: int, leads: Sequence[bool]) -> bool:
        node = self.nodes[number]
        if isinstance(node, EndNode):
            return self.view.state == "completed"
        return bool(self.seen[number]) or (not _is_recorded(node) and leads[number])

    def _is_over(self, number: int) -> bool:
        """Whether something follows: a result, or a death that a join goes on without."""
        caught = getattr(self.nodes[number], "catch", None) is not None
        states = {stage.state for stage in self.seen[number]}
        return "done" in states or (caught and "dead" in states)

    # -- one node

    def _status(self, number: int, node: Node) -> Status:
        if isinstance(node, EndNode):
            return self._end()
        if self.seen[number]:
            return self._recorded(number, node)
        if self.passed[number]:
            return Status(State.DONE)
        join = self.arrived.get(str(number))
        if join is not None:
            return Status(State.ACTIVE, (f"{join.arrived} of {join.members or '?'}",))
        waits = isinstance(node, EachNode | RepeatNode | JoinNode | WaitNode | BackNode)
        if self.reached[number] and not self.view.state.ended and waits:
            return Status(State.ACTIVE)
        return Status(State.IDLE)

    def _end(self) -> Status:
        if self.view.state == "completed":
            return Status(State.DONE)
        return Status(State.IDLE, (str(self.view.state),) if self.view.state.ended else ())

    def _recorded(self, number: int, node: Node) -> Status:
        stages = self.seen[number]
        state = _state(node, stages)
        if number in self.undone and state in (State.DONE, State.ACTIVE):
            state = State.UNDONE
        counted = self._counted(number, stages)
        return Status(state, tuple(line for line in (counted, *_timings(stages)) if line))

    def _counted(self, number: int, stages: Sequence[StageView]) -> str:
        loop = self.loops[number]
        if loop is None:
            return ""
        if isinstance(self.nodes[loop.opens], RepeatNode):
            return f"{len(stages):,} {'round' if len(stages) == 1 else 'rounds'}"
        join = self.arrived.get(str(loop.closes))
        total = max(len(stages), (join.members or 0) if join else 0)
        done = sum(stage.state == "done" for stage in stages)
        return f"{done:,} of {total:,}"

    def _with_loop(self, number: int, status: Status, found: Sequence[Status]) -> Status:
        loop = self.loops[number]
        if loop is None or status.state is not State.IDLE:
            return status
        around = found[loop.closes]
        if around.state is State.IDLE:
            around = self._with_loop(loop.opens, found[loop.opens], found)
        if around.state not in (State.DONE, State.ACTIVE):
            return status
        return (
            Status(around.state) if number in loop.certain else Status(State.IDLE, ("no record",))
        )


def _is_recorded(node: Node) -> bool:
    """Whether the store keeps what became of it."""
    return isinstance(node, StageNode | RelayNode | PagesNode)


def _by_node(plan: Plan, stages: Sequence[StageView]) -> tuple[list[list[StageView]], set[int]]:
    """Sort the stages by their nodes; give the nodes whose work was taken back beside them."""
    seen: list[list[StageView]] = [[] for _ in plan.nodes]
    undone: set[int] = set()
    for stage in stages:
        number = stage.position.lstrip("~").partition(".")[0]
        if not (number.isascii() and number.isdigit()) or int(number) >= len(seen):
            continue
        if not stage.position.startswith("~"):
            seen[int(number)].append(stage)
        elif stage.state == "done":
            undone.add(int(number))
    return seen, undone


def _state(node: Node, stages: Sequence[StageView]) -> State:
    states = {stage.state for stage in stages}
    if "dead" in states:
        return State.DEAD if getattr(node, "catch", None) is None else State.CAUGHT
    if states == {"done"}:
        return State.DONE
    if "undone" in states:
        return State.UNDONE
    begun = [stage for stage in stages if stage.state != "done"]
    return State.RETRIED if any(stage.attempts > 1 for stage in begun) else State.ACTIVE


def _timings(stages: Sequence[StageView]) -> list[str]:
    waits = [stage.wait_ms for stage in stages if stage.wait_ms is not None]
    runs = [stage.run_ms for stage in stages if stage.run_ms is not None]
    mean = " on average" if len(runs) > 1 else ""
    retries = sum(max(stage.attempts - 1, 0) for stage in stages)
    return [
        f"wait {took(fmean(waits))}, run {took(fmean(runs))}{mean}" if waits and runs else "",
        f"{retries:,} {'retry' if retries == 1 else 'retries'}" if retries else "",
    ]


class _Loop(NamedTuple):
    """The nodes between an each and its join, or a repeat and its end; `certain` none can miss."""

    opens: int
    closes: int
    certain: frozenset[int]


def _loops(nodes: Sequence[Node]) -> list[_Loop | None]:
    """Return the innermost loop around every node."""
    around: list[_Loop | None] = [None] * len(nodes)
    ends = {node.repeat: number for number, node in enumerate(nodes) if isinstance(node, BackNode)}
    for number, node in enumerate(nodes):
        closes = node.join if isinstance(node, EachNode) else ends.get(number)
        if closes is not None:
            body = getattr(node, "body", number)
            loop = _Loop(number, closes, _certain(nodes, body, closes))
            for inside in range(number + 1, closes):
                around[inside] = loop  # the inner one comes later
    return around


def _certain(nodes: Sequence[Node], body: int, closes: int) -> frozenset[int]:
    certain = {body}
    for number in range(body, closes):
        if number in certain and not isinstance(nodes[number], ChooseNode | WaitNode):
            certain.update(way for way in _ways(nodes[number]) if way < closes)
    return frozenset(certain)


def _ways(node: Node) -> list[int]:  # noqa: PLR0911 - one per kind of node
    """Where a node leads in reading order."""
    match node:
        case ForkNode():
            return list(node.branches)
        case EachNode():
            return [node.body] if node.pages is None else [node.pages, node.body]
        case ChooseNode():
            return [*node.cases.values(), *([] if node.otherwise is None else [node.otherwise])]
        case WaitNode():
            return [node.next, *([] if node.otherwise is None else [node.otherwise])]
        case RepeatNode():
            return [node.body]
        case PagesNode() | EndNode():
            return []
        case _:
            return [node.next]
