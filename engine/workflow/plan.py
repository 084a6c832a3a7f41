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


class Catch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a death is an arrival: the innermost join around a node that goes on without it.

    `depth` is how many indices the join's position has; `member` is None in an each, where the
    index behind them is the member.
    """

    join: int
    depth: int
    member: int | None = None


class BatchOf(msgspec.Struct, frozen=True):
    """How many items one call gathers, and how long the first waits for company."""

    size: int
    within_ms: int


class UndoBy(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stage that takes back what a node has done."""

    stage: str
    queue: str
    priority: int | None = None


class StageNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="stage"):
    """A stage to run; the plan carries all a message needs."""

    stage: str
    queue: str
    next: int
    priority: int | None = None
    member: int | None = None
    undo: UndoBy | None = None
    catch: Catch | None = None
    batch: BatchOf | None = None


class RelayNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="relay"):
    """The built-in stage that hands on its input: a pause, or where a join needs a message.

    `until` names the function that knows when the pause ends.
    """

    queue: str
    next: int
    priority: int | None = None
    member: int | None = None
    delay_ms: int = 0
    until: str | None = None
    catch: Catch | None = None

    @property
    def stage(self) -> str:
        """The built-in stage's name."""
        return RELAY_STAGE


class ForkNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="fork"):
    """Several branches begin; they meet again at `join`."""

    branches: tuple[int, ...]
    join: int


class JoinNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="join"):
    """Branches meet; `next` is always a stage or relay. `members` is None for an each.

    Attributes:
        fork: where the branches began; None for an each.
        need: how many must succeed; 0 is all of them.
        bare: the one result that counts goes on by itself.
        settles: members arrive as `Settled`, dead ones too.
        queue, priority: of the message that fails for the join.
    """

    next: int
    members: int | None = None
    fork: int | None = None
    need: int = 0
    bare: bool = False
    settles: bool = False
    queue: str = ""
    priority: int | None = None
    catch: Catch | None = None


class EachNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="each"):
    """A list is spread over `body` (a stage or relay), at most `window` items at a time.

    `pages` is the node that reads the items where they do not come as a list.
    """

    body: int
    join: int
    window: int
    pages: int | None = None


class PagesNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="pages"):
    """A stage that reads one page of an each's items; page i at index i."""

    stage: str
    queue: str
    each: int
    priority: int | None = None
    catch: Catch | None = None


class WaitNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="wait"):
    """The run stands still until a signal comes; `next` is always a stage or relay.

    After `timeout_ms` it goes on at `otherwise`, or fails without one. Where it `settles`, what a
    callback brings goes on as `Settled`, failures too.
    """

    name: str
    next: int
    queue: str
    priority: int | None = None
    timeout_ms: int | None = None
    otherwise: int | None = None
    catch: Catch | None = None
    settles: bool = False


class ChildNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="child"):
    """A run of another pipeline; `next`, always a stage or relay, receives its result."""

    pipeline: str
    plan: str
    next: int
    queue: str
    priority: int | None = None
    catch: Catch | None = None


class RepeatNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="repeat"):
    """A loop begins: rounds of `body`, at most `limit`, `every_ms` apart.

    With a pause between the rounds, `body` is a relay.
    """

    body: int
    until: str
    limit: int
    every_ms: int = 0


class BackNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="back"):
    """A round ends: another one from node `repeat`, or on to `next`."""

    repeat: int
    next: int
    queue: str
    priority: int | None = None
    catch: Catch | None = None


class ChooseNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="choose"):
    """The decider names the case to go on with."""

    decider: str
    cases: dict[str, int]
    otherwise: int | None = None


class EndNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="end"):
    """The run is complete."""


MessageNode = StageNode | RelayNode
Node = (
    StageNode
    | RelayNode
    | ForkNode
    | JoinNode
    | EachNode
    | PagesNode
    | ChooseNode
    | WaitNode
    | ChildNode
    | RepeatNode
    | BackNode
    | EndNode
)
CatchingNode = StageNode | RelayNode | JoinNode | PagesNode | WaitNode | ChildNode | BackNode


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
