"""What follows what: the pure rules of walking a plan.

Owns: `begin` and `follow`. Must not: run stages, keep state, or touch the payload beyond cutting an
each's list into items.

The results of branches meet in the store, not here: an `Arrive` says which member is done, and the
store makes the successor visible when the last member is in. `joined` says what its input is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from engine.errors import NoCaseMatches, PayloadInvalid, Problem
from engine.workflow.edges import Arrive, Edge, End, First, OpenEach, OpenJoin, Send
from engine.workflow.plan import (
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    MessageNode,
    Plan,
    RelayNode,
    StageNode,
    ToJoin,
    ToStage,
)

Decide = Callable[[str, bytes], str]
"""(decider name, JSON value) -> case name; `Registry.decide` is one."""

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NO_ITEMS = b"[]"


def begin(plan: Plan, payload: bytes, decide: Decide) -> list[Edge]:
    """Return the edges that start a run; its input reaches node 0.

    Raises:
        NoCaseMatches: a choose has no case of the name decided on.
        PayloadInvalid: an each received something else than a list.
    """
    return _enter(plan, 0, "", payload, decide)


def follow(plan: Plan, position: str, result: bytes, decide: Decide) -> list[Edge]:
    """Return the edges that follow the stage at `position`, now that its result is known.

    Raises: as `begin`; the attempt of this stage has then failed.
    """
    route = plan.routes.get(position)
    if route is not None:
        kind = type(route)
        if kind is ToStage:
            return [Send(*route, result)]  # type: ignore[call-arg]
        return [Arrive(*route, result)] if kind is ToJoin else [End(result)]  # type: ignore[call-arg]
    number, dot, indices = position.partition(".")
    return _leave(plan, _message_node(plan, int(number)), dot + indices, result, decide)


def joined(results: Iterable[bytes]) -> bytes:
    """Return the input of a join's successor: the JSON array of results in member order."""
    return b"[" + b",".join(results) + b"]"


def _leave(plan: Plan, node: MessageNode, suffix: str, result: bytes, decide: Decide) -> list[Edge]:
    join = plan.nodes[node.next]
    if not isinstance(join, JoinNode):
        return _enter(plan, node.next, suffix, result, decide)
    if join.members is not None:
        return [Arrive(f"{node.next}{suffix}", node.member or 0, result)]
    outside, _, index = suffix.rpartition(".")
    return [Arrive(f"{node.next}{outside}", int(index), result)]


def _enter(plan: Plan, number: int, suffix: str, value: bytes, decide: Decide) -> list[Edge]:
    node = plan.nodes[number]
    match node:
        case StageNode() | RelayNode():
            return [Send(f"{number}{suffix}", node.stage, node.queue, node.priority, value)]
        case EndNode():
            return [End(value)]
        case ForkNode():
            edges: list[Edge] = [_open_join(plan, node.join, suffix, len(node.branches))]
            for branch in node.branches:
                edges += _enter(plan, branch, suffix, value, decide)
            return edges
        case EachNode():
            return _spread(plan, number, node, suffix, value)
        case ChooseNode():
            return _enter(plan, _chosen(node, value, decide), suffix, value, decide)
        case JoinNode():
            raise AssertionError(f"node {number} is a join and only reached from a stage")


def _spread(plan: Plan, number: int, node: EachNode, suffix: str, value: bytes) -> list[Edge]:
    try:
        items = [bytes(item) for item in _items(value)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise PayloadInvalid(f"{plan.name}: each", "input", [Problem("", "list_type")]) from None
    join = _open_join(plan, node.join, suffix, len(items))
    if not items:
        # A join without members can never be completed by an arrival, so go straight on.
        return [Send(join.position, join.stage, join.queue, join.priority, _NO_ITEMS)]
    body = _message_node(plan, node.body)
    first = First(f"{node.body}{suffix}", body.stage, body.queue, body.priority)
    return [OpenEach(f"{number}{suffix}", items, node.window, first, join)]


def _open_join(plan: Plan, number: int, suffix: str, members: int) -> OpenJoin:
    join = plan.nodes[number]
    if not isinstance(join, JoinNode):
        raise AssertionError(f"node {number} is no join")  # noqa: TRY004 - the plan is broken
    after = _message_node(plan, join.next)
    position = f"{join.next}{suffix}"
    return OpenJoin(
        f"{number}{suffix}", members, position, after.stage, after.queue, after.priority
    )


def _chosen(node: ChooseNode, value: bytes, decide: Decide) -> int:
    case = decide(node.decider, value)
    number = node.cases.get(case, node.otherwise)
    if number is None:
        raise NoCaseMatches(node.decider, case, node.cases)
    return number


def _message_node(plan: Plan, number: int) -> MessageNode:
    node = plan.nodes[number]
    if not isinstance(node, StageNode | RelayNode):
        raise AssertionError(f"node {number} is no stage")  # noqa: TRY004 - the plan is broken
    return node
