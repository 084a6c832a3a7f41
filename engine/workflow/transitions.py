"""What follows what: the pure rules of walking a plan.

Owns: `begin`, `follow`, `timed_out` and `caught`. Must not: run stages, keep state, or touch the
payload beyond cutting an each's list into items.

The results of branches meet in the store, not here: an `Arrive` says which member is done, and the
store makes the successor visible when the join is satisfied. `joined` says what its input is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from engine.errors import NoCaseMatches, OptionInvalid, PayloadInvalid, Problem, UnknownPlan
from engine.workflow import settled
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
from engine.workflow.failure import Failure
from engine.workflow.names import FAIL_STAGE, RELAY_STAGE, TIMER_STAGE
from engine.workflow.nodes import (
    BackNode,
    CatchingNode,
    ChildNode,
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    MessageNode,
    PagesNode,
    RelayNode,
    RepeatNode,
    StageNode,
    WaitNode,
)
from engine.workflow.plan import Plan, ToJoin, ToStage

Decide = Callable[[str, bytes], str]
"""(decider name, JSON value) -> case name; `Registry.decide` is one."""

PlanOf = Callable[[str], Plan]
"""Plan hash -> plan; what child runs follow."""

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NO_ITEMS = b"[]"
_TRUE = "True"
MAX_PAGE = 1_000


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    next: msgspec.Raw = msgspec.Raw(b"null")


_page = msgspec.json.Decoder(_Page).decode


def no_children(hash: str) -> Plan:  # noqa: A002 - the word of the field
    """The `PlanOf` of plans without child runs."""
    raise UnknownPlan(hash, ())


def begin(plan: Plan, payload: bytes, decide: Decide, plan_of: PlanOf = no_children) -> list[Edge]:
    """Return the edges that start a run; its input reaches node 0.

    Raises:
        NoCaseMatches: a choose has no case of the name decided on.
        PayloadInvalid: an each received something else than a list.
        OptionInvalid: the function of a sleep gave no datetime with a time zone.
    """
    return _Walk(plan, decide, plan_of).enter(0, "", payload)


def follow(
    plan: Plan, position: str, result: bytes, decide: Decide, plan_of: PlanOf = no_children
) -> list[Edge]:
    """Return the edges that follow the stage at `position`, now that its result is known.

    Raises: as `begin`; the attempt of this stage has then failed.
    """
    route = plan.routes.get(position)
    if route is not None:
        kind = type(route)
        if kind is ToStage:
            return [Send(*route, result)]  # type: ignore[call-arg]
        return [Arrive(*route, result)] if kind is ToJoin else [End(result)]  # type: ignore[call-arg]
    if position.startswith("~"):
        return []  # what undoes leads nowhere
    number, suffix = _split(position)
    return _Walk(plan, decide, plan_of).leave(number, suffix, result)


def timed_out(
    plan: Plan, position: str, value: bytes, decide: Decide, plan_of: PlanOf = no_children
) -> list[Edge] | None:
    """Return the edges that follow a wait whose time is over, None if it has no other way.

    `value` is what flowed into the wait. Raises: as `begin`.
    """
    number, suffix = _split(position)
    node = plan.nodes[number]
    if not isinstance(node, WaitNode) or node.otherwise is None:
        return None
    return _Walk(plan, decide, plan_of).enter(node.otherwise, suffix, value)


def caught(plan: Plan, position: str, failure: Failure) -> list[Edge] | None:
    """Return the edges that follow a death where a join goes on without it, else None."""
    if position.startswith("~"):
        return None
    number, suffix = _split(position)
    node = plan.nodes[number]
    if not isinstance(node, CatchingNode) or node.catch is None:
        return None
    catch = node.catch
    indices = suffix.split(".")[1:]
    outside = "".join(f".{index}" for index in indices[: catch.depth])
    member = int(indices[catch.depth]) if catch.member is None else catch.member
    at = f"{catch.join}{outside}"
    join = plan.nodes[catch.join]
    if isinstance(join, JoinNode) and join.settles:
        return [Arrive(at, member, settled.failed(failure))]
    return [Arrive(at, member, b"null", failed=True)]


def joined(results: Iterable[bytes]) -> bytes:
    """Return the input of a join's successor: the JSON array of results in member order."""
    return b"[" + b",".join(results) + b"]"


def failing(position: str, queue: str, priority: int | None, reason: str, message: str) -> Send:
    """Return the message that dies for `reason` at a position where no stage stands."""
    story = msgspec.json.encode({"reason": reason, "message": message})
    return Send(position, FAIL_STAGE, queue, priority, story)


def _split(position: str) -> tuple[int, str]:
    number, dot, indices = position.partition(".")
    return int(number), dot + indices


class _Walk:
    """The way through one plan for one hop."""

    def __init__(self, plan: Plan, decide: Decide, plan_of: PlanOf) -> None:
        self.plan = plan
        self.decide = decide
        self.plan_of = plan_of

    def leave(self, number: int, suffix: str, result: bytes) -> list[Edge]:
        node = self.plan.nodes[number]
        if isinstance(node, PagesNode):
            return self._turn_page(number, node, suffix, result)
        if isinstance(node, EachNode):
            return [self._next_slice(number, node, suffix, result)]
        node = self._message_node(number)
        edges = self._arrive_or_enter(node, suffix, result)
        if isinstance(node, StageNode) and node.undo is not None:
            undo = node.undo
            edges.append(Undo(f"~{number}{suffix}", undo.stage, undo.queue, undo.priority, result))
        return edges

    def _arrive_or_enter(self, node: MessageNode, suffix: str, result: bytes) -> list[Edge]:
        join = self.plan.nodes[node.next]
        if not isinstance(join, JoinNode):
            return self.enter(node.next, suffix, result)
        if join.settles:
            result = settled.succeeded(result)
        if join.members is not None:
            return [Arrive(f"{node.next}{suffix}", node.member or 0, result)]
        outside, _, index = suffix.rpartition(".")
        return [Arrive(f"{node.next}{outside}", int(index), result)]

    def enter(  # noqa: C901, PLR0911 - one per kind of node
        self, number: int, suffix: str, value: bytes
    ) -> list[Edge]:
        node = self.plan.nodes[number]
        position = f"{number}{suffix}"
        match node:
            case StageNode():
                return [Send(position, node.stage, node.queue, node.priority, value)]
            case RelayNode():
                return [self._relayed(position, node, value)]
            case EndNode():
                return [End(value)]
            case ForkNode():
                return self._fork(node, suffix, value)
            case EachNode():
                if node.pages is not None:
                    return [self._read_page(node.pages, f"{suffix}.0", value)]
                return self._spread(number, node, suffix, value)
            case ChooseNode():
                return self.enter(self._chosen(node, value), suffix, value)
            case WaitNode():
                return [self._wait(position, node, suffix, value)]
            case ChildNode():
                return [self._child(position, node, suffix, value)]
            case RepeatNode():
                return self.enter(node.body, f"{suffix}.0", value)
            case BackNode():
                return self._again(position, node, suffix, value)
            case JoinNode() | PagesNode():
                raise AssertionError(f"node {number} is not entered")

    def _relayed(self, position: str, node: RelayNode, value: bytes) -> Send:
        due_at_ms = 0 if node.until is None else _moment_ms(self.decide(node.until, value))
        return Send(
            position, node.stage, node.queue, node.priority, value, node.delay_ms, due_at_ms
        )

    def _fork(self, node: ForkNode, suffix: str, value: bytes) -> list[Edge]:
        edges: list[Edge] = [self._open_join(node.join, suffix, len(node.branches))]
        for branch in node.branches:
            edges += self.enter(branch, suffix, value)
        return edges

    def _spread(self, number: int, node: EachNode, suffix: str, value: bytes) -> list[Edge]:
        try:
            items = [bytes(item) for item in _items(value)]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            problem = Problem("", "list_type")
            raise PayloadInvalid(f"{self.plan.name}: each", "input", [problem]) from None
        more = self._rest(number, node, f"{suffix}.1", items)
        return self._open_each(number, node, suffix, items[:MAX_PAGE], more)

    def _rest(self, number: int, node: EachNode, suffix: str, items: list[bytes]) -> Send | None:
        """Return the message that comes back with what no one call of the store may hold."""
        if len(items) <= MAX_PAGE:
            return None
        body = self._message_node(node.body)
        rest = joined(items[MAX_PAGE:])
        return Send(f"{number}{suffix}", RELAY_STAGE, body.queue, body.priority, rest)

    def _next_slice(self, number: int, node: EachNode, suffix: str, rest: bytes) -> Extend:
        outside, _, index = suffix.rpartition(".")
        items = [bytes(item) for item in _items(rest)]
        more = self._rest(number, node, f"{outside}.{int(index) + 1}", items)
        return Extend(f"{number}{outside}", f"{node.join}{outside}", items[:MAX_PAGE], more)

    def _open_each(
        self, number: int, node: EachNode, suffix: str, items: list[bytes], more: Send | None
    ) -> list[Edge]:
        join = self._open_join(node.join, suffix, -1 if more else len(items))
        if not items and more is None:
            # A join without members can never be completed by an arrival, so go straight on.
            return [Send(join.position, join.stage, join.queue, join.priority, _NO_ITEMS)]
        body = self._first(node.body, suffix)
        return [OpenEach(f"{number}{suffix}", items, node.window, body, join, more)]

    def _read_page(self, number: int, suffix: str, mark: bytes) -> Send:
        node = self.plan.nodes[number]
        assert isinstance(node, PagesNode)
        return Send(f"{number}{suffix}", node.stage, node.queue, node.priority, mark)

    def _turn_page(self, number: int, node: PagesNode, suffix: str, result: bytes) -> list[Edge]:
        each = self.plan.nodes[node.each]
        assert isinstance(each, EachNode)
        outside, _, index = suffix.rpartition(".")
        try:
            page = _page(result)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise PayloadInvalid(node.stage, "page", [Problem("", "page_type")]) from None
        if len(page.items) > MAX_PAGE:
            raise PayloadInvalid(node.stage, "page", [Problem("items", "too_long")])
        mark = bytes(page.next)
        more = self._read_page(number, f"{outside}.{int(index) + 1}", mark)
        items = [bytes(item) for item in page.items]
        if index == "0":
            return self._open_each(
                node.each, each, outside, items, None if mark == b"null" else more
            )
        return [
            Extend(
                f"{node.each}{outside}",
                f"{each.join}{outside}",
                items,
                None if mark == b"null" else more,
            )
        ]

    def _open_join(self, number: int, suffix: str, members: int) -> OpenJoin:
        join = self.plan.nodes[number]
        if not isinstance(join, JoinNode):
            raise AssertionError(f"node {number} is no join")  # noqa: TRY004 - the plan is broken
        after = self._first(join.next, suffix)
        position = f"{number}{suffix}"
        opened = OpenJoin(
            position, members, after.position, after.stage, after.queue, after.priority
        )
        if not join.need:
            return opened
        fail = failing(
            position,
            join.queue,
            join.priority,
            "quorum_missed",
            f"{join.need} of {members} branches had to succeed, and too many have failed",
        )
        return msgspec.structs.replace(
            opened,
            need=join.need,
            bare=join.bare,
            scope=(join.fork or 0, number),
            fail=fail,
        )

    def _wait(self, position: str, node: WaitNode, suffix: str, value: bytes) -> Wait:
        timer = None
        if node.timeout_ms is not None:
            timer = Send(position, TIMER_STAGE, node.queue, node.priority, value, node.timeout_ms)
        successor = self._first(node.next, suffix)
        # In the successor's place, not the wait's: there a timer may still be on its way.
        fail = First(successor.position, FAIL_STAGE, node.queue, node.priority)
        return Wait(position, node.name, successor, timer, fail)

    def _child(self, position: str, node: ChildNode, suffix: str, value: bytes) -> StartChild:
        edges = begin(self.plan_of(node.plan), value, self.decide, self.plan_of)
        fail = failing(
            position,
            node.queue,
            node.priority,
            "child_failed",
            f"the child run of {node.pipeline} has no result",
        )
        successor = self._first(node.next, suffix)
        return StartChild(position, node.pipeline, node.plan, edges, successor, fail)

    def _again(self, position: str, node: BackNode, suffix: str, value: bytes) -> list[Edge]:
        repeat = self.plan.nodes[node.repeat]
        assert isinstance(repeat, RepeatNode)
        outside, _, index = suffix.rpartition(".")
        if self.decide(repeat.until, value) == _TRUE:
            return self.enter(node.next, outside, value)
        rounds = int(index) + 1
        if rounds >= repeat.limit:
            message = f"{repeat.until} was not content after {rounds} rounds"
            return [failing(position, node.queue, node.priority, "repeat_exhausted", message)]
        edges = self.enter(repeat.body, f"{outside}.{rounds}", value)
        if repeat.every_ms:
            (relay,) = edges
            edges = [msgspec.structs.replace(relay, delay_ms=repeat.every_ms)]
        return edges

    def _first(self, number: int, suffix: str) -> First:
        node = self._message_node(number)
        return First(f"{number}{suffix}", node.stage, node.queue, node.priority)

    def _chosen(self, node: ChooseNode, value: bytes) -> int:
        case = self._case(node, value)
        number = node.cases.get(case, node.otherwise)
        if number is None:
            raise NoCaseMatches(node.decider, case, node.cases)
        return number

    def _case(self, node: ChooseNode, value: bytes) -> str:
        if not node.when:
            return self.decide(node.decider, value)
        held = (when for when in node.when if self.decide(when, value) == _TRUE)
        return next(held, "none of the conditions")

    def _message_node(self, number: int) -> MessageNode:
        node = self.plan.nodes[number]
        if not isinstance(node, StageNode | RelayNode):
            raise AssertionError(f"node {number} is no stage")  # noqa: TRY004 - the plan is broken
        return node


def _moment_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise OptionInvalid("until", text, "a datetime with a time zone")
    return max(int(moment.timestamp() * 1000), 1)
