"""From a flow to a plan.

Owns: numbering nodes and placing relays. Must not: check types (flows do) or know what happens at a
node (transitions do).

The flow is walked once in reading order. What the last nodes of a part lead to is not known until
the next part is built, so nodes are drafts with open ends first. A relay goes in wherever a join or
an each needs a message and the flow has no stage there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from engine.workflow.flow import Chain, Choose, Each, Flow, Parallel
from engine.workflow.plan import (
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    Node,
    Plan,
    RelayNode,
    StageNode,
)
from engine.workflow.stage import Stage


def compiled(name: str, flow: Flow) -> Plan:
    """Return the plan of a flow."""
    compiler = _Compiler(_first_stage(flow))
    built = compiler.build(flow)
    ends = compiler.settled(built.ends)
    compiler.connect(ends, compiler.draft(_End()))
    return Plan(name, tuple(draft.node() for draft in compiler.drafts))


@dataclass(slots=True)
class _Draft:
    """A node whose successor may still be open."""

    number: int = -1
    next: int = -1
    member: int | None = None

    def node(self) -> Node:
        raise NotImplementedError


@dataclass(slots=True)
class _End(_Draft):
    def node(self) -> Node:
        return EndNode()


@dataclass(slots=True)
class _Message(_Draft):
    stage: str | None = None
    queue: str = ""
    priority: int | None = None

    def node(self) -> Node:
        if self.stage is None:
            return RelayNode(self.queue, self.next, self.priority, self.member)
        return StageNode(self.stage, self.queue, self.next, self.priority, self.member)


@dataclass(slots=True)
class _Fork(_Draft):
    branches: list[int] = field(default_factory=list[int])
    join: int = -1

    def node(self) -> Node:
        return ForkNode(tuple(self.branches), self.join)


@dataclass(slots=True)
class _Join(_Draft):
    members: int | None = None

    def node(self) -> Node:
        return JoinNode(self.next, self.members)


@dataclass(slots=True)
class _Each(_Draft):
    body: int = -1
    join: int = -1
    window: int = 1

    def node(self) -> Node:
        return EachNode(self.body, self.join, self.window)


@dataclass(slots=True)
class _Choose(_Draft):
    decider: str = ""
    cases: dict[str, int] = field(default_factory=dict[str, int])
    otherwise: int | None = None

    def node(self) -> Node:
        return ChooseNode(self.decider, self.cases, self.otherwise)


@dataclass(slots=True)
class _Built:
    """A part of the graph: where it begins and the drafts whose successor is open."""

    entry: int
    ends: list[_Draft]


class _Compiler:
    def __init__(self, first: Stage[..., object]) -> None:
        self.drafts: list[_Draft] = []
        self._nearest = first

    def build(self, flow: Flow) -> _Built:
        match flow:
            case Stage():
                return self._stage(cast("Stage[..., object]", flow))
            case Chain():
                return self._chain(flow)
            case Parallel():
                return self._parallel(flow)
            case Each():
                return self._each(flow)
            case Choose():
                return self._choose(flow)
            case _:
                raise AssertionError(f"no rule for {flow!r}")

    def draft(self, draft: _Draft) -> _Draft:
        draft.number = len(self.drafts)
        self.drafts.append(draft)
        return draft

    def connect(self, ends: list[_Draft], target: _Draft | int, member: int | None = None) -> None:
        for end in ends:
            end.next = target if isinstance(target, int) else target.number
            end.member = member

    def settled(self, ends: list[_Draft]) -> list[_Draft]:
        """Return the ends with a relay after every join: a join must lead to a message."""
        return [self._relay_after(end) if isinstance(end, _Join) else end for end in ends]

    def _relay_after(self, join: _Join) -> _Draft:
        relay = self._relay(self._nearest)
        join.next = relay.number
        return relay

    def _relay(self, near: Stage[..., object]) -> _Draft:
        return self.draft(_Message(queue=near.queue, priority=near.priority))

    def _stage(self, stage: Stage[..., object]) -> _Built:
        self._nearest = stage
        draft = self.draft(_Message(stage=stage.name, queue=stage.queue, priority=stage.priority))
        return _Built(draft.number, [draft])

    def _chain(self, flow: Chain) -> _Built:
        whole = self.build(flow.parts[0])
        for part in flow.parts[1:]:
            ends = whole.ends if _begins_with_stage(part) else self.settled(whole.ends)
            built = self.build(part)
            self.connect(ends, built.entry)
            whole.ends = built.ends
        return whole

    def _parallel(self, flow: Parallel) -> _Built:
        fork = _Fork()
        self.draft(fork)
        ends: list[list[_Draft]] = []
        for branch in flow.branches:
            built = self.build(branch)
            fork.branches.append(built.entry)
            ends.append(self.settled(built.ends))
        join = _Join(members=len(ends))
        self.draft(join)
        fork.join = join.number
        for member, branch_ends in enumerate(ends):
            self.connect(branch_ends, join, member)
        return _Built(fork.number, [join])

    def _each(self, flow: Each) -> _Built:
        each = _Each(window=flow.window)
        self.draft(each)
        relay = None if _begins_with_stage(flow.body) else self._relay(_first_stage(flow.body))
        built = self.build(flow.body)
        if relay is not None:
            self.connect([relay], built.entry)
        ends = self.settled(built.ends)
        join = _Join()
        self.draft(join)
        self.connect(ends, join)
        each.body = built.entry if relay is None else relay.number
        each.join = join.number
        return _Built(each.number, [join])

    def _choose(self, flow: Choose) -> _Built:
        choose = _Choose(decider=flow.decider.name)
        self.draft(choose)
        ends: list[_Draft] = []
        for case, branch in flow.cases.items():
            built = self.build(branch)
            choose.cases[case] = built.entry
            ends += built.ends
        if flow.otherwise is not None:
            built = self.build(flow.otherwise)
            choose.otherwise = built.entry
            ends += built.ends
        return _Built(choose.number, ends)


def _begins_with_stage(flow: Flow) -> bool:
    while isinstance(flow, Chain):
        flow = flow.parts[0]
    return isinstance(flow, Stage)


def _first_stage(flow: Flow) -> Stage[..., object]:
    while flow.inner():
        flow = flow.inner()[0]
    return cast("Stage[..., object]", flow)
