"""What is known about one run: its state, its open joins and waits, its messages and letters.

Owns: `Ledger` and `DeadLetter`. Must not: decide what follows (hops do).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from engine.testing.agenda import Message
from engine.testing.meeting import Join, Scope, Spread
from engine.workflow.edges import First, Send, Undo, Wait
from engine.workflow.failure import Failure
from engine.workflow.nodes import StageNode
from engine.workflow.plan import Plan
from engine.workflow.run import RunState, RunView, StageView


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that will not be tried again. `input` is its JSON."""

    stage: str
    position: str
    reason: str
    attempts: int
    error: Failure
    input: bytes


@dataclass(slots=True)
class StageRecord:
    """What became of one position."""

    stage: str
    state: str = "waiting"
    attempts: int = 0
    visible_at_ms: int = 0
    started_at_ms: int = 0
    wait_ms: int | None = None
    run_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """Where a child run's end is waited for."""

    run_id: str
    position: str
    successor: First
    fail: Send


@dataclass(eq=False, slots=True)
class Ledger:
    """One run. Joins, eaches and waits are found by their positions, an each by its join's."""

    id: str
    pipeline: str
    plan: Plan
    tenant: str
    key: str | None
    started_at_ms: int
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    parent: Parent | None = None
    state: RunState = RunState.RUNNING
    ended_at_ms: int | None = None
    result: bytes | None = None
    cause: BaseException | None = None
    stages: dict[str, StageRecord] = field(default_factory=dict[str, StageRecord])
    outputs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    pending: dict[str, Message] = field(default_factory=dict[str, Message])
    joins: dict[str, Join] = field(default_factory=dict[str, Join])
    eaches: dict[str, Spread] = field(default_factory=dict[str, Spread])
    waits: dict[str, Wait] = field(default_factory=dict[str, Wait])
    signals: dict[str, deque[bytes]] = field(default_factory=dict[str, deque[bytes]])
    children: dict[str, str] = field(default_factory=dict[str, str])
    undos: list[Undo] = field(default_factory=list[Undo])
    closed: list[Scope] = field(default_factory=list[Scope])
    ends: RunState = RunState.FAILED  # what a run that is being undone ends as
    once: set[str] = field(default_factory=set[str])
    paused: bool = False
    aside: list[Message] = field(default_factory=list[Message])
    letters: list[DeadLetter] = field(default_factory=list[DeadLetter])

    @property
    def compensates(self) -> bool:
        """Whether a failure takes back what was done, instead of leaving the rest to a redrive."""
        return any(isinstance(node, StageNode) and node.undo for node in self.plan.nodes)

    def is_closed(self, position: str) -> bool:
        """Whether a join has gone on without this position."""
        return any(scope.covers(position) for scope in self.closed)

    def leads_on(self, position: str) -> bool:
        """Whether what is committed at a position has consequences.

        The branches beside a stage that died go on to their join, so that a redrive has only the
        failed part left to do; but not where what they do would be taken back.
        """
        if position.startswith("~"):
            return self.state in (RunState.UNDOING, RunState.FAILED)
        open_ = self.state is RunState.RUNNING or (
            self.state is RunState.FAILED and not self.compensates
        )
        return open_ and not self.is_closed(position)

    def drop(self, scope: Scope | None = None) -> None:
        """Forget what has not begun and what is open, everywhere or inside a scope."""
        for position, message in list(self.pending.items()):
            if not message.begun and (scope is None or scope.covers(position)):
                message.dropped = True
                del self.pending[position]
        for held in (self.joins, self.eaches, self.waits):
            for position in [at for at in held if scope is None or scope.covers(at)]:
                del held[position]

    def view(self) -> RunView:
        """Return the run as handles see it."""
        return RunView(
            id=self.id,
            pipeline=self.pipeline,
            state=self.state,
            tenant=self.tenant,
            key=self.key,
            started_at_ms=self.started_at_ms,
            ended_at_ms=self.ended_at_ms,
            attributes=self.attributes,
            stages=tuple(_shown(position, record) for position, record in self.stages.items()),
        )


def _shown(position: str, record: StageRecord) -> StageView:
    return StageView(
        position=position,
        stage=record.stage,
        state=record.state,
        attempts=record.attempts,
        wait_ms=record.wait_ms,
        run_ms=record.run_ms,
    )
