"""A plan: a pipeline as an immutable graph that a running message can follow anywhere.

Owns: the graph as a whole, its JSON, its hash, and what can be told from it. Must not: hold
functions, or know how flows are written (the compiler does) or what happens at a node (transitions
do). Node 0 is where a run begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from engine.workflow.nodes import (
    BatchOf,
    ChildNode,
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    MessageNode,
    Node,
    PagesNode,
    RelayNode,
    RepeatNode,
    StageNode,
)


class ToStage(NamedTuple):
    """The next message but for its input."""

    position: str
    stage: str
    queue: str
    priority: int | None


class ToJoin(NamedTuple):
    """An arrival but for its result."""

    join: str
    member: int


class ToEnd(NamedTuple):
    """The run is complete."""

    is_end: bool = True


Route = ToStage | ToJoin | ToEnd


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    nodes: tuple[Node, ...]
    shapes: dict[str, dict[str, Any]] = {}
    steps: dict[str, int] = {}


def shape_key(decider: str) -> str:
    """Return the name of a decider among the shapes: a stage may have the same name."""
    return f"{decider}()"


_decoder = msgspec.json.Decoder(_Document)
_encoder = msgspec.json.Encoder(order="sorted")


class Plan:
    """An immutable graph of nodes. Two plans are the same if their hashes are.

    Attributes:
        name: of the pipeline, or of a stage alone.
        nodes: in reading order.
        shapes: JSON Schema of what each stage and decider took when the plan was compiled, by
            name (see `shape_key`); one that takes anything is left out.
        steps: the node whose result is `steps.<name>.output` in the expressions of the plan.
    """

    def __init__(
        self,
        name: str,
        nodes: tuple[Node, ...],
        shapes: Mapping[str, dict[str, Any]] | None = None,
        steps: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.nodes = nodes
        self.shapes = {name: shape for name, shape in (shapes or {}).items() if shape}
        self.steps = dict(steps or {})

    @classmethod
    def of_stage(
        cls,
        stage: str,
        queue: str,
        priority: int | None,
        shapes: Mapping[str, dict[str, Any]] | None = None,
    ) -> Plan:
        """Return the plan of one stage alone."""
        return cls(stage, (StageNode(stage, queue, 1, priority), EndNode()), shapes)

    @classmethod
    def from_json(cls, raw: bytes) -> Plan:
        """Return the plan that `to_json` wrote; raises msgspec.DecodeError."""
        document = _decoder.decode(raw)
        return cls(document.name, document.nodes, document.shapes, document.steps)

    def to_json(self) -> bytes:
        """Return the canonical JSON: sorted keys, no white space, defaults left out."""
        return self._json

    @cached_property
    def _json(self) -> bytes:
        return _encoder.encode(_Document(self.name, self.nodes, self.shapes, self.steps))

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self._json).hexdigest()[:16]

    @cached_property
    def routes(self) -> dict[str, Route]:
        """What follows a position outside any each, where that needs no thought."""
        return {
            str(number): route
            for number, node in enumerate(self.nodes)
            if isinstance(node, StageNode | RelayNode) and (route := self._route(node))
        }

    @cached_property
    def bearers(self) -> frozenset[str]:
        """Positions whose input is the run's own; empty where a run may begin without any.

        The first of them that ends leaves the input with the run; with none, the start does.
        """
        return self._bearers(0, "")

    def _bearers(self, number: int, suffix: str) -> frozenset[str]:
        node = self.nodes[number]
        match node:
            case StageNode() | RelayNode():
                return frozenset({f"{number}{suffix}"})
            case RepeatNode():
                return self._bearers(node.body, f"{suffix}.0")
            case EachNode(pages=int() as pages):
                return frozenset({f"{pages}{suffix}.0"})
            case ForkNode():
                found = (self._bearers(branch, suffix) for branch in node.branches)
                return next(filter(None, found), frozenset())
            case ChooseNode():
                rest = () if node.otherwise is None else (node.otherwise,)
                cases = [self._bearers(case, suffix) for case in (*node.cases.values(), *rest)]
                return frozenset().union(*cases) if all(cases) else frozenset()
            case _:
                return frozenset()

    def _route(self, node: MessageNode) -> Route | None:
        if isinstance(node, StageNode) and node.undo is not None:
            return None
        match self.nodes[node.next]:
            case (
                StageNode(stage=stage, queue=queue, priority=priority)
                | RelayNode(stage=stage, queue=queue, priority=priority, delay_ms=0, until=None)
            ):
                return ToStage(str(node.next), stage, queue, priority)
            case JoinNode(members=int(), settles=False):
                return ToJoin(str(node.next), node.member or 0)
            case EndNode():
                return ToEnd()
            case _:
                return None

    @cached_property
    def first_queue(self) -> str:
        """The queue of the first stage in reading order: the one that a run begins in."""
        stages = (node for node in self.nodes if isinstance(node, StageNode | RelayNode))
        return next((node.queue for node in stages), "default")

    @cached_property
    def expressive(self) -> bool:
        """Whether there are expressions in it."""
        return any(
            bool(getattr(node, "bind", None) or getattr(node, "when", None))
            or any(":" in (getattr(node, name, None) or "") for name in ("decider", "until"))
            for node in self.nodes
        )

    def stages(self) -> tuple[str, ...]:
        """Return the names of all stages in reading order, each once, built-in ones left out."""
        names: dict[str, None] = {}
        for node in self.nodes:
            if isinstance(node, StageNode | PagesNode):
                names[node.stage] = None
            if isinstance(node, StageNode) and node.undo is not None:
                names[node.undo.stage] = None
        return tuple(names)

    @cached_property
    def batches(self) -> dict[str, BatchOf]:
        """The nodes, by number as text, whose stage serves many runs in one call."""
        return {
            str(number): node.batch
            for number, node in enumerate(self.nodes)
            if isinstance(node, StageNode) and node.batch is not None
        }

    def deciders(self) -> tuple[str, ...]:
        """Return the names of all deciding functions in reading order, each once."""
        names: dict[str, None] = {}
        for node in self.nodes:
            match node:
                case ChooseNode(decider=name) | RepeatNode(until=name) | RelayNode(until=str(name)):
                    if ":" not in name:  # an expression travels in the plan
                        names[name] = None
                case _:
                    pass
        return tuple(names)

    def queues(self) -> tuple[str, ...]:
        """Return the queues that its messages wait in, in reading order, each once."""
        queues = [getattr(node, "queue", "") for node in self.nodes]
        undos = [getattr(node, "undo", None) for node in self.nodes]
        queues += [undo.queue for undo in undos if undo is not None]
        return tuple(dict.fromkeys(queue for queue in queues if queue))

    def children(self) -> tuple[str, ...]:
        """Return the hashes of the plans that its child runs follow, each once."""
        hashes = (node.plan for node in self.nodes if isinstance(node, ChildNode))
        return tuple(dict.fromkeys(hashes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._json == other._json

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return f"<plan {self.name} {self.hash} of {len(self.nodes)} nodes>"
