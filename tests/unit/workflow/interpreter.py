"""A tiny engine in memory: runs a plan edge by edge, as the store and the workers would.

It delivers messages in an arbitrary order and keeps joins and windows itself, so that the rules of
transitions are all that is under test.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from engine.workflow.edges import Arrive, Edge, End, OpenEach, OpenJoin, Send
from engine.workflow.names import RELAY_STAGE
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.transitions import begin, follow, joined


@dataclass
class Waiting:
    opened: OpenJoin
    results: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Spread:
    edge: OpenEach
    rest: deque[int]


class Interpreter:
    def __init__(self, plan: Plan, registry: Registry, seed: int = 0) -> None:
        self.plan = Plan.from_json(plan.to_json())
        self.registry = registry
        self.random = random.Random(seed)
        self.ready: list[Send] = []
        self.joins: dict[str, Waiting] = {}
        self.spreads: dict[str, Spread] = {}
        self.ends: list[bytes] = []
        self.visited: list[str] = []

    def run(self, payload: bytes) -> bytes:
        self.apply(begin(self.plan, payload, self.registry.decide))
        while self.ready:
            message = self.ready.pop(self.random.randrange(len(self.ready)))
            assert message.position not in self.visited, "a position is visited once"
            self.visited.append(message.position)
            result = self.attempt(message)
            self.apply(follow(self.plan, message.position, result, self.registry.decide))
        assert not self.joins, "every join has fired"
        (end,) = self.ends
        return end

    def attempt(self, message: Send) -> bytes:
        if message.stage == RELAY_STAGE:
            return message.input
        stage = self.registry.stage(message.stage)
        return stage.output.encode(stage.invoke(stage.inputs.decode(message.input)))

    def apply(self, edges: list[Edge]) -> None:
        for edge in edges:
            match edge:
                case Send():
                    self.ready.append(edge)
                case OpenJoin():
                    self.open(edge)
                case OpenEach():
                    self.spread(edge)
                case Arrive():
                    self.arrive(edge)
                case End():
                    self.ends.append(edge.result)

    def open(self, edge: OpenJoin) -> None:
        assert edge.members > 0
        assert edge.join not in self.joins
        self.joins[edge.join] = Waiting(edge)

    def spread(self, edge: OpenEach) -> None:
        assert edge.items
        self.open(edge.join)
        rest = deque(range(len(edge.items)))
        self.spreads[edge.join.join] = Spread(edge, rest)
        for _ in range(edge.window):
            self.next_item(edge.join.join)

    def next_item(self, join: str) -> None:
        spread = self.spreads.get(join)
        if spread is not None and spread.rest:
            i, first = spread.rest.popleft(), spread.edge.first
            position, item = f"{first.position}.{i}", spread.edge.items[i]
            self.ready.append(Send(position, first.stage, first.queue, first.priority, item))

    def arrive(self, edge: Arrive) -> None:
        waiting = self.joins[edge.join]
        assert edge.member not in waiting.results, "a member arrives once"
        assert edge.member < waiting.opened.members
        waiting.results[edge.member] = edge.result
        self.next_item(edge.join)
        if len(waiting.results) == waiting.opened.members:
            del self.joins[edge.join]
            after = waiting.opened
            value = joined(waiting.results[member] for member in range(after.members))
            self.ready.append(Send(after.position, after.stage, after.queue, after.priority, value))
