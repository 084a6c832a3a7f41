"""The nodes of a plan: what stands in it, and what a running message reads of it.

Owns: one struct per kind of node. Must not: hold functions, or know what happens at a node
(transitions do).

Node ids are indices into a plan's `nodes`, in reading order. `next` of a stage or relay is a node
id. Where it is a join, `member` is its place in it; a join of an each has no fixed places, there
the item's index is the member.
"""

from __future__ import annotations

import msgspec

from engine.workflow.names import RELAY_STAGE

Bind = str | tuple[str, ...]
"""An expression whose value a node receives, or several whose values are an array of inputs."""


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
    """A stage to run; the plan carries all a message needs.

    `bind` holds the expressions whose values it receives; without it, it receives what flows in.
    """

    stage: str
    queue: str
    next: int
    priority: int | None = None
    member: int | None = None
    undo: UndoBy | None = None
    catch: Catch | None = None
    batch: BatchOf | None = None
    bind: Bind | None = None


class RelayNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="relay"):
    """The built-in stage that hands on its input: a pause, or where a join needs a message.

    `until` names the function, or is the expression, that knows when the pause ends. With `bind`
    it hands on the values of expressions instead.
    """

    queue: str
    next: int
    priority: int | None = None
    member: int | None = None
    delay_ms: int = 0
    until: str | None = None
    catch: Catch | None = None
    bind: Bind | None = None

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
    """The decider names the case to go on with.

    With `when`, every case stands under a condition, and the first in its order that holds counts.
    """

    decider: str
    cases: dict[str, int]
    otherwise: int | None = None
    when: tuple[str, ...] = ()


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
