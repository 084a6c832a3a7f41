"""From a flow to a plan.

Owns: numbering nodes, placing relays and catches. Must not: check types (flows do) or know what
happens at a node (transitions do).

The flow is walked once in reading order. What the last nodes of a part lead to is not known until
the next part is built, so nodes are drafts with open ends first. A relay goes in wherever the store
itself sends what follows and the flow has no stage there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from engine.workflow.batch import Batch
from engine.workflow.bound import Bound, Kept, Written
from engine.workflow.choose import Choose
from engine.workflow.decider import Decider
from engine.workflow.drafts import (
    BackDraft,
    ChildDraft,
    ChooseDraft,
    Draft,
    EachDraft,
    EndDraft,
    ForkDraft,
    Home,
    JoinDraft,
    Net,
    PagesDraft,
    RelayDraft,
    RepeatDraft,
    StageDraft,
    WaitDraft,
)
from engine.workflow.each import Each
from engine.workflow.flow import Chain, Flow, Parallel
from engine.workflow.gather import First
from engine.workflow.names import DEFAULT_QUEUE
from engine.workflow.nodes import BatchOf, UndoBy
from engine.workflow.plan import Plan, shape_key
from engine.workflow.repeat import Repeat
from engine.workflow.shapes import shape_of
from engine.workflow.stage import Stage
from engine.workflow.undo import Undoable
from engine.workflow.wait import Sleep, WaitFor

D = TypeVar("D", bound=Draft)


class _Planned(Protocol):
    """A pipeline, which imports this file."""

    def plan(self) -> Plan: ...


def compiled(name: str, flow: Flow) -> Plan:
    """Return the plan of a flow."""
    compiler = _Compiler(_home(flow))
    built = compiler.build(flow)
    ends = compiler.settled(built.ends)
    compiler.connect(ends, compiler.draft(EndDraft()))
    shapes = {name: shape_of(taker.inputs) for name, taker in compiler.takers.items()}
    return Plan(name, tuple(draft.node() for draft in compiler.drafts), shapes, compiler.steps)


@dataclass(slots=True)
class _Built:
    """A part of the graph: where it begins and the drafts whose successor is open."""

    entry: int
    ends: list[Draft]


class _Compiler:
    def __init__(self, home: Home) -> None:
        self.drafts: list[Draft] = []
        self.takers: dict[str, Stage[..., object] | Decider] = {}
        self.steps: dict[str, int] = {}
        self._home = home
        self._net: Net | None = None
        self._depth = 0

    def build(self, flow: Flow) -> _Built:  # noqa: C901, PLR0911, PLR0912 - one per kind of flow
        match flow:
            case Stage():
                return self._stage(cast("Stage[..., object]", flow))
            case Undoable():
                return self._undoable(flow)
            case Batch():
                batch = BatchOf(flow.size, flow.within_ms)
                return self._stage(cast("Stage[..., object]", flow.stage), batch=batch)
            case Bound():
                return self._bound(flow)
            case Kept():
                return self._kept(flow)
            case Chain():
                return self._chain(flow)
            case Parallel():
                return self._parallel(flow)
            case Each():
                return self._each(flow)
            case Choose():
                return self._choose(flow)
            case Sleep():
                return self._sleep(flow)
            case WaitFor():
                return self._wait(flow)
            case Repeat():
                return self._repeat(flow)
            case Flow(kind="pipeline"):
                return self._child(flow)
            case _:
                raise AssertionError(f"no rule for {flow!r}")

    def draft(self, draft: D) -> D:
        draft.number = len(self.drafts)
        draft.net = self._net
        self.drafts.append(draft)
        return draft

    def connect(self, ends: list[Draft], target: Draft | int, member: int | None = None) -> None:
        for end in ends:
            end.next = target if isinstance(target, int) else target.number
            end.member = member

    def settled(self, ends: list[Draft]) -> list[Draft]:
        """Return the ends with a relay behind each that must lead to a message."""
        return [self._relay_after(end) if end.leads_to_message else end for end in ends]

    @contextmanager
    def _inside(self, net: Net | None, levels: int = 0) -> Iterator[None]:
        """Nodes drafted within the block stand in this net, so many indices deeper."""
        before = self._net
        self._net, self._depth = net or before, self._depth + levels
        yield
        self._net, self._depth = before, self._depth - levels

    def _relay_after(self, end: Draft) -> Draft:
        relay = self._relay()
        end.next = relay.number
        return relay

    def _relay(self) -> RelayDraft:
        return self.draft(RelayDraft(queue=self._home.queue, priority=self._home.priority))

    def _stage(
        self,
        stage: Stage[..., object],
        *,
        undo: UndoBy | None = None,
        batch: BatchOf | None = None,
    ) -> _Built:
        self._home = Home(stage.queue, stage.priority)
        self.takers[stage.name] = stage
        draft = StageDraft(
            stage=stage.name,
            queue=stage.queue,
            priority=stage.priority,
            undo=undo,
            batch=batch,
        )
        return _Built(self.draft(draft).number, [draft])

    def _undoable(self, flow: Undoable) -> _Built:
        by = cast("Stage[..., object]", flow.by)
        self.takers[by.name] = by
        undo = UndoBy(by.name, by.queue, by.priority)
        return self._stage(cast("Stage[..., object]", flow.stage), undo=undo)

    def _bound(self, flow: Bound) -> _Built:
        built = self.build(flow.flow)
        (draft,) = built.ends
        assert isinstance(draft, StageDraft | RelayDraft)
        draft.bind = flow.bind
        return built

    def _kept(self, flow: Kept) -> _Built:
        built = self.build(flow.flow)
        if len(built.ends) > 1 or not isinstance(built.ends[0], StageDraft | RelayDraft):
            # Only what a message gives is stored by its position.
            relay = self._relay()
            self.connect(built.ends, relay)
            built.ends = [relay]
        self.steps[flow.step] = built.ends[0].number
        return built

    def _chain(self, flow: Chain) -> _Built:
        whole = self.build(flow.parts[0])
        for part in flow.parts[1:]:
            ends = whole.ends if _begins_with_stage(part) else self.settled(whole.ends)
            built = self.build(part)
            self.connect(ends, built.entry)
            whole.ends = built.ends
        return whole

    def _parallel(self, flow: Parallel) -> _Built:
        fork = self.draft(ForkDraft())
        join = JoinDraft(
            members=len(flow.branches),
            fork=fork.number,
            need=flow.need,
            bare=isinstance(flow, First),
            settles=flow.settles,
        )
        ends: list[list[Draft]] = []
        for member, branch in enumerate(flow.branches):
            catches = flow.need or flow.settles
            with self._inside(Net(join, self._depth, member) if catches else None):
                built = self.build(branch)
                fork.branches.append(built.entry)
                ends.append(self.settled(built.ends))
        self.draft(join)
        join.home = self._home
        fork.join = join.number
        for member, branch_ends in enumerate(ends):
            self.connect(branch_ends, join, member)
        return _Built(fork.number, [join])

    def _each(self, flow: Each) -> _Built:
        each = self.draft(EachDraft(window=flow.window))
        if flow.pages is not None:
            reader = cast("Stage[..., object]", flow.pages)
            self.takers[reader.name] = reader
            pages = self.draft(
                PagesDraft(
                    stage=reader.name,
                    queue=reader.queue,
                    priority=reader.priority,
                    each=each.number,
                )
            )
            each.pages = pages.number
        join = JoinDraft(settles=flow.collect)
        with self._inside(Net(join, self._depth, None) if flow.collect else None, 1):
            each.body, ends = self._led_by_message(flow.body)
        self.draft(join)
        self.connect(ends, join)
        each.join = join.number
        return _Built(each.number, [join])

    def _led_by_message(self, flow: Flow, *, relayed: bool = False) -> tuple[int, list[Draft]]:
        """Build a flow that begins with a stage or relay; give its entry and settled ends."""
        if not relayed and _begins_with_stage(flow):
            built = self.build(flow)
            return built.entry, self.settled(built.ends)
        self._home = _home(flow)
        relay = self._relay()
        built = self.build(flow)
        self.connect([relay], built.entry)
        return relay.number, self.settled(built.ends)

    def _ask(self, decider: Decider | Written) -> None:
        """Note a function that the plan asks; an expression travels in the plan itself."""
        if isinstance(decider, Decider):
            self.takers[shape_key(decider.name)] = decider

    def _choose(self, flow: Choose) -> _Built:
        self._ask(flow.decider)
        choose = self.draft(ChooseDraft(decider=flow.decider.name, when=flow.when))
        ends: list[Draft] = []
        for case, branch in flow.cases.items():
            built = self.build(branch)
            choose.cases[case] = built.entry
            ends += built.ends
        if flow.otherwise is not None:
            built = self.build(flow.otherwise)
            choose.otherwise = built.entry
            ends += built.ends
        return _Built(choose.number, ends)

    def _sleep(self, flow: Sleep) -> _Built:
        relay = self._relay()
        relay.delay_ms = flow.delay_ms
        if flow.until is not None:
            self._ask(flow.until)
            relay.until = flow.until.name
        return _Built(relay.number, [relay])

    def _wait(self, flow: WaitFor) -> _Built:
        wait = self.draft(
            WaitDraft(
                name=flow.name,
                queue=self._home.queue,
                priority=self._home.priority,
                timeout_ms=flow.timeout_ms,
                settles=flow.settles,
            )
        )
        ends: list[Draft] = [wait]
        if flow.otherwise is not None:
            built = self.build(flow.otherwise)
            wait.otherwise = built.entry
            ends += built.ends
        return _Built(wait.number, ends)

    def _repeat(self, flow: Repeat) -> _Built:
        self._ask(flow.until)
        repeat = self.draft(
            RepeatDraft(until=flow.until.name, limit=flow.limit, every_ms=flow.every_ms)
        )
        with self._inside(None, 1):
            repeat.body, ends = self._led_by_message(flow.body, relayed=flow.every_ms > 0)
            back = self.draft(
                BackDraft(
                    repeat=repeat.number, queue=self._home.queue, priority=self._home.priority
                )
            )
        self.connect(ends, back)
        return _Built(repeat.number, [back])

    def _child(self, flow: Flow) -> _Built:
        plan = cast("_Planned", flow).plan()
        home = _home(flow)
        draft = ChildDraft(
            pipeline=plan.name, plan=plan.hash, queue=home.queue, priority=home.priority
        )
        return _Built(self.draft(draft).number, [draft])


def _begins_with_stage(flow: Flow) -> bool:
    while isinstance(flow, Chain | Kept):
        flow = flow.parts[0] if isinstance(flow, Chain) else flow.flow
    return isinstance(flow, Stage | Undoable | Batch | Bound)


def _home(flow: Flow) -> Home:
    """Return the place of the first stage in reading order, else the default queue."""
    found = _first_stage(flow)
    return Home(found.queue, found.priority) if found else Home(DEFAULT_QUEUE, None)


def _first_stage(flow: Flow) -> Stage[..., object] | None:
    if isinstance(flow, Stage):
        return cast("Stage[..., object]", flow)
    for part in flow.inner():
        found = _first_stage(part)
        if found is not None:
            return found
    return None
