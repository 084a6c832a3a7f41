"""A plan: a pipeline as an immutable graph that a running message can follow anywhere.

Owns: the nodes, their JSON and the hash that names a plan. Must not: hold functions, or know how
flows are written (the compiler does) or what happens at a node (transitions do).

Node ids are indices into `nodes`, in reading order; node 0 is where a run begins. `next` of a
stage or relay is a node id. Where it is a join, `member` is its place in it; a join of an each has
no fixed places, there the item's index is the member.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import NamedTuple

import msgspec

from engine.workflow.names import RELAY_STAGE


class StageNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="stage"):
    """A stage to run; the plan carries all a message needs."""

    stage: str
    queue: str
    next: int
    priority: int | None = None
    member: int | None = None


class RelayNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="relay"):
    """The built-in stage that hands on its input, where a join or an each needs a message."""

    queue: str
    next: int
    priority: int | None = None
    member: int | None = None

    @property
    def stage(self) -> str:
        """The built-in stage's name."""
        return RELAY_STAGE


class ForkNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="fork"):
    """Several branches begin; they meet again at `join`."""

    branches: tuple[int, ...]
    join: int


class JoinNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="join"):
    """Branches meet; `next` is always a stage or relay. `members` is None for an each."""

    next: int
    members: int | None = None


class EachNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="each"):
    """A list is spread over `body` (a stage or relay), at most `window` items at a time."""

    body: int
    join: int
    window: int


class ChooseNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="choose"):
    """The decider names the case to go on with."""

    decider: str
    cases: dict[str, int]
    otherwise: int | None = None


class EndNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="end"):
    """The run is complete."""


MessageNode = StageNode | RelayNode
Node = StageNode | RelayNode | ForkNode | JoinNode | EachNode | ChooseNode | EndNode


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


class _Document(msgspec.Struct, frozen=True):
    name: str
    nodes: tuple[Node, ...]


_decoder = msgspec.json.Decoder(_Document)
_encoder = msgspec.json.Encoder(order="sorted")


class Plan:
    """An immutable graph of nodes. Two plans are the same if their hashes are."""

    def __init__(self, name: str, nodes: tuple[Node, ...]) -> None:
        self.name = name
        self.nodes = nodes

    @classmethod
    def of_stage(cls, stage: str, queue: str, priority: int | None) -> Plan:
        """Return the plan of one stage alone."""
        return cls(stage, (StageNode(stage, queue, 1, priority), EndNode()))

    @classmethod
    def from_json(cls, raw: bytes) -> Plan:
        """Return the plan that `to_json` wrote; raises msgspec.DecodeError."""
        document = _decoder.decode(raw)
        return cls(document.name, document.nodes)

    def to_json(self) -> bytes:
        """Return the canonical JSON: sorted keys, no white space, defaults left out."""
        return self._json

    @cached_property
    def _json(self) -> bytes:
        return _encoder.encode(_Document(self.name, self.nodes))

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

    def _route(self, node: MessageNode) -> Route | None:
        match self.nodes[node.next]:
            case (
                StageNode(stage=stage, queue=queue, priority=priority)
                | RelayNode(stage=stage, queue=queue, priority=priority)
            ):
                return ToStage(str(node.next), stage, queue, priority)
            case JoinNode(members=int()):
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

    def stages(self) -> tuple[str, ...]:
        """Return the names of all stages in reading order, each once, relays left out."""
        names = (node.stage for node in self.nodes if isinstance(node, StageNode))
        return tuple(dict.fromkeys(names))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._json == other._json

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return f"<plan {self.name} {self.hash} of {len(self.nodes)} nodes>"
