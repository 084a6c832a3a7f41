"""Nodes in the making: a node whose successor, join or catch may still be open.

Owns: one draft per kind of node. Must not: walk flows (the compiler does).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.workflow.nodes import (
    BackNode,
    BatchOf,
    Bind,
    Catch,
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
    UndoBy,
    WaitNode,
)


@dataclass(slots=True)
class Home:
    """Where the messages of a node without a queue of its own go: to its nearest stage's."""

    queue: str
    priority: int | None


@dataclass(slots=True)
class Net:
    """The join that catches deaths, while its number is still open."""

    join: Draft
    depth: int
    member: int | None

    def catch(self) -> Catch:
        """Return it by number."""
        return Catch(self.join.number, self.depth, self.member)


@dataclass(slots=True)
class Draft:
    """A node whose successor may still be open."""

    number: int = -1
    next: int = -1
    member: int | None = None
    net: Net | None = None

    @property
    def leads_to_message(self) -> bool:
        """Whether the store sends what follows, so that it must be a message."""
        return False

    @property
    def catch(self) -> Catch | None:
        """Where a death at this node arrives."""
        return None if self.net is None else self.net.catch()

    def node(self) -> Node:
        """Return the finished node."""
        raise NotImplementedError


@dataclass(slots=True)
class EndDraft(Draft):
    """See `EndNode`."""

    def node(self) -> Node:
        """Return the finished node."""
        return EndNode()


@dataclass(slots=True)
class StageDraft(Draft):
    """See `StageNode`."""

    stage: str = ""
    queue: str = ""
    priority: int | None = None
    undo: UndoBy | None = None
    batch: BatchOf | None = None
    bind: Bind | None = None

    def node(self) -> Node:
        """Return the finished node."""
        return StageNode(
            self.stage,
            self.queue,
            self.next,
            self.priority,
            self.member,
            self.undo,
            self.catch,
            self.batch,
            self.bind,
        )


@dataclass(slots=True)
class RelayDraft(Draft):
    """See `RelayNode`."""

    queue: str = ""
    priority: int | None = None
    delay_ms: int = 0
    until: str | None = None
    bind: Bind | None = None

    def node(self) -> Node:
        """Return the finished node."""
        return RelayNode(
            self.queue,
            self.next,
            self.priority,
            self.member,
            self.delay_ms,
            self.until,
            self.catch,
            self.bind,
        )


@dataclass(slots=True)
class ForkDraft(Draft):
    """See `ForkNode`."""

    branches: list[int] = field(default_factory=list[int])
    join: int = -1

    def node(self) -> Node:
        """Return the finished node."""
        return ForkNode(tuple(self.branches), self.join)


@dataclass(slots=True)
class JoinDraft(Draft):
    """See `JoinNode`."""

    members: int | None = None
    fork: int | None = None
    need: int = 0
    bare: bool = False
    settles: bool = False
    home: Home | None = None

    @property
    def leads_to_message(self) -> bool:
        """The store sends what follows."""
        return True

    def node(self) -> Node:
        """Return the finished node."""
        # A join that needs all its members never fails by itself.
        home = self.home if self.need and self.home else Home("", None)
        return JoinNode(
            self.next,
            self.members,
            self.fork if self.need else None,
            self.need,
            self.bare,
            self.settles,
            home.queue,
            home.priority,
            self.catch if self.need else None,
        )


@dataclass(slots=True)
class EachDraft(Draft):
    """See `EachNode`."""

    body: int = -1
    join: int = -1
    window: int = 1
    pages: int | None = None

    def node(self) -> Node:
        """Return the finished node."""
        return EachNode(self.body, self.join, self.window, self.pages)


@dataclass(slots=True)
class PagesDraft(Draft):
    """See `PagesNode`."""

    stage: str = ""
    queue: str = ""
    priority: int | None = None
    each: int = -1

    def node(self) -> Node:
        """Return the finished node."""
        return PagesNode(self.stage, self.queue, self.each, self.priority, self.catch)


@dataclass(slots=True)
class ChooseDraft(Draft):
    """See `ChooseNode`."""

    decider: str = ""
    cases: dict[str, int] = field(default_factory=dict[str, int])
    otherwise: int | None = None
    when: tuple[str, ...] = ()

    def node(self) -> Node:
        """Return the finished node."""
        return ChooseNode(self.decider, self.cases, self.otherwise, self.when)


@dataclass(slots=True)
class WaitDraft(Draft):
    """See `WaitNode`."""

    name: str = ""
    queue: str = ""
    priority: int | None = None
    timeout_ms: int | None = None
    otherwise: int | None = None
    settles: bool = False

    @property
    def leads_to_message(self) -> bool:
        """The store sends what follows."""
        return True

    def node(self) -> Node:
        """Return the finished node."""
        return WaitNode(
            self.name,
            self.next,
            self.queue,
            self.priority,
            self.timeout_ms,
            self.otherwise,
            self.catch,
            self.settles,
        )


@dataclass(slots=True)
class ChildDraft(Draft):
    """See `ChildNode`."""

    pipeline: str = ""
    plan: str = ""
    queue: str = ""
    priority: int | None = None

    @property
    def leads_to_message(self) -> bool:
        """The store sends what follows."""
        return True

    def node(self) -> Node:
        """Return the finished node."""
        return ChildNode(self.pipeline, self.plan, self.next, self.queue, self.priority, self.catch)


@dataclass(slots=True)
class RepeatDraft(Draft):
    """See `RepeatNode`."""

    body: int = -1
    until: str = ""
    limit: int = 1
    every_ms: int = 0

    def node(self) -> Node:
        """Return the finished node."""
        return RepeatNode(self.body, self.until, self.limit, self.every_ms)


@dataclass(slots=True)
class BackDraft(Draft):
    """See `BackNode`."""

    repeat: int = -1
    queue: str = ""
    priority: int | None = None

    @property
    def leads_to_message(self) -> bool:
        """A join is met only from a stage or relay."""
        return True

    def node(self) -> Node:
        """Return the finished node."""
        return BackNode(self.repeat, self.next, self.queue, self.priority, self.catch)
