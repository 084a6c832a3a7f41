"""Edges and stage messages on the wire: what a plan's transitions look like to the scripts.

The room owns the body of a stage message and the tuples of `lua/include/edges.lua`. It never reads
a payload: inputs and results travel as the raw JSON they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.store.entries import text
from engine.workflow.edges import (
    Arrive,
    Edge,
    End,
    Extend,
    First,
    OpenEach,
    OpenJoin,
    Send,
    StartChild,
    Undo,
    Wait,
)
from engine.workflow.names import new_run_id

Placing = Callable[[str, str, int | None], tuple[int, int]]
"""(stage, queue, priority or None) -> (priority, forgiven deaths)."""


class StageBody(msgspec.Struct, frozen=True, gc=False):
    """The body of a stage message. `input` is absent when the store supplies it."""

    plan: str
    stage: str
    trace: str | None = None
    input: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(StageBody).decode


def stage_body_of(raw: bytes) -> StageBody:
    """Reads a body; raises msgspec.DecodeError or ValidationError if it is none."""
    return _decode(raw)


class Wire:
    """Turns edges of one engine into the scripts' tuples.

    Args:
        placing: Gives priority and forgiven deaths of a stage's messages.
    """

    def __init__(self, placing: Placing) -> None:
        self._place = placing
        self._heads: dict[tuple[str, str], str] = {}

    def body(self, plan: str, stage: str, trace: str | None, payload: bytes | None) -> msgspec.Raw:
        """The body of a stage message; without a payload the store supplies the input."""
        head = self._heads.get((plan, stage))
        if head is None:
            head = self._heads[plan, stage] = f'{{"plan":"{plan}","stage":"{stage}"'
        if trace is not None:
            head = f'{head},"trace":"{trace}"'
        if payload is None:
            return text(f"{head}}}".encode())
        return text(b'%b,"input":%b}' % (head.encode(), payload))

    def edges(self, plan: str, trace: str | None, edges: Iterable[Edge]) -> list[tuple[Any, ...]]:
        """The tuples for all edges of one hop."""
        return [self._edge(plan, trace, edge) for edge in edges]

    def _edge(self, plan: str, trace: str | None, edge: Edge) -> tuple[Any, ...]:
        if type(edge) is Send:
            return self._send(plan, trace, edge)
        if type(edge) is End:
            return ("end", text(edge.result))
        if type(edge) is Arrive:
            arrival = ("arrive", edge.join, str(edge.member), text(edge.result))
            return (*arrival, True) if edge.failed else arrival
        if type(edge) is OpenJoin:
            opened = ("open", edge.join, edge.members, *self._successor(plan, trace, edge))
            return (*opened, self._policy(plan, trace, edge)) if edge.need else opened
        if type(edge) is OpenEach:
            return self._each(plan, trace, edge)
        return self._branch(plan, trace, edge)

    def _branch(self, plan: str, trace: str | None, edge: Edge) -> tuple[Any, ...]:
        if type(edge) is Extend:
            items = [text(item) for item in edge.items]
            return ("extend", edge.join, items, self._send_or_none(plan, trace, edge.more))
        if type(edge) is Wait:
            successor = self._successor(plan, trace, edge.successor)
            timer = self._send_or_none(plan, trace, edge.timer)
            fail = self._successor(plan, trace, edge.fail)
            return ("wait", edge.wait, edge.name, successor, timer, fail)
        if type(edge) is Undo:
            sent = Send(edge.position, edge.stage, edge.queue, edge.priority, edge.input)
            return ("undo", *self._send(plan, trace, sent)[1:])
        assert type(edge) is StartChild
        return (
            "child",
            edge.child,
            new_run_id(),
            edge.pipeline,
            edge.plan,
            self.edges(edge.plan, trace, edge.edges),
            self._successor(plan, trace, edge.successor),
            self._send(plan, trace, edge.fail),
        )

    def _send(self, plan: str, trace: str | None, edge: Send) -> tuple[Any, ...]:
        priority, allowed = self._place(edge.stage, edge.queue, edge.priority)
        body = self.body(plan, edge.stage, trace, edge.input)
        sent = ("send", edge.position, edge.queue, priority, str(allowed), body)
        if edge.delay_ms or edge.due_at_ms:
            return (*sent, edge.delay_ms, edge.due_at_ms)
        return sent

    def _send_or_none(
        self, plan: str, trace: str | None, edge: Send | None
    ) -> tuple[Any, ...] | bool:
        return False if edge is None else self._send(plan, trace, edge)

    def _policy(self, plan: str, trace: str | None, edge: OpenJoin) -> tuple[Any, ...]:
        first, join = edge.scope or (0, 0)
        assert edge.fail is not None
        return (edge.need, int(edge.bare), first, join, self._send(plan, trace, edge.fail))

    def _each(self, plan: str, trace: str | None, edge: OpenEach) -> tuple[Any, ...]:
        first = edge.first
        priority, allowed = self._place(first.stage, first.queue, first.priority)
        body = self.body(plan, first.stage, trace, None)
        items = [text(item) for item in edge.items]
        join = (edge.join.join, *self._successor(plan, trace, edge.join))
        opened = (
            "each",
            first.position,
            items,
            edge.window,
            first.queue,
            priority,
            allowed,
            body,
            join,
        )
        return opened if edge.more is None else (*opened, self._send(plan, trace, edge.more))

    def _successor(self, plan: str, trace: str | None, to: OpenJoin | First) -> tuple[Any, ...]:
        priority, allowed = self._place(to.stage, to.queue, to.priority)
        body = self.body(plan, to.stage, trace, None)
        return (to.position, to.queue, priority, allowed, body)


def input_of(kind: str, body: StageBody, inputs: list[bytes] | None) -> bytes | None:
    """The raw input of an attempt; None if the store no longer has what the message refers to."""
    if kind in "stu":
        return bytes(body.input)
    if inputs is None or None in inputs:
        return None
    return b"[" + b",".join(inputs) + b"]" if kind == "j" else inputs[1]
