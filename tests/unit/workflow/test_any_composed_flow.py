"""Every flow that can be composed ends exactly once, with what evaluating it directly gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine import Pipeline, Retry, Run
from engine.testing import History, InlineEngine
from engine.testing.ledger import Ledger
from engine.testing.meeting import Scope
from engine.workflow.compiler import compiled
from engine.workflow.flow import Flow
from engine.workflow.nodes import (
    BackNode,
    ChildNode,
    EachNode,
    JoinNode,
    MessageNode,
    PagesNode,
    RelayNode,
    RepeatNode,
    StageNode,
    WaitNode,
)
from engine.workflow.plan import Plan
from engine.workflow.run import RunState
from tests.unit.workflow.composed import DEFINITIONS, SIGNAL, SIGNALLED, Dies, evaluated, flows

FLOWS = flows()
ENDS = {"run.completed", "run.failed", "run.cancelled"}
TWICE = Retry(attempts=2, base="1h")


@contextmanager
def left_over() -> Iterator[dict[str, list[str]]]:
    """What a run still had open when it was complete, by its id."""
    left: dict[str, list[str]] = {}
    drop = Ledger.drop

    def noting(ledger: Ledger, scope: Scope | None = None) -> None:
        if scope is None and ledger.state is RunState.COMPLETED:
            # Who lost a race may still be under way.
            waiting = [at for at in ledger.pending if not ledger.is_closed(at)]
            left[ledger.id] = [*waiting, *ledger.joins, *ledger.waits, *ledger.children]
        drop(ledger, scope)

    with patch.object(Ledger, "drop", noting):
        yield left


def started(engine: InlineEngine, flow: Flow, value: int) -> Run:
    payload = json.dumps(value).encode()
    options: dict[str, Any] = {"tenant": "t", "key": None, "delay_ms": 0, "priority": None}
    return engine.start(Pipeline("whole", flow), payload, **options)


def brought_to_rest(engine: InlineEngine) -> None:
    """Let everything run and time pass, and signal whatever waits."""
    while True:
        engine.run_due()
        waiting = [run for run in engine.runs() if SIGNAL in engine.history(run).waits()]
        for run in waiting:
            engine.signal(run.id, SIGNAL, json.dumps(SIGNALLED).encode())
        if not waiting:
            due_at_ms = engine._agenda.next_due_ms()
            if due_at_ms is None:
                return
            engine.clock.pass_towards(due_at_ms)


def check_history(history: History, left: list[str]) -> None:
    names = Counter(event.name for event in history.events)
    assert sum(names[name] for name in ENDS) == 1, "a run ends once"
    attempts: dict[tuple[str, str], list[int]] = {}
    for each in history.events:
        if each.name == "stage.started" and each.position:
            attempts.setdefault((each.position, each.stage), []).append(each.attempt)
    retried = Counter(e.position for e in history.events if e.name == "stage.retried")
    crashed = Counter(e.position for e in history.events if e.name == "stage.stalled")
    for (position, stage), numbers in attempts.items():
        again = len(numbers) - len(set(numbers))
        assert again == (crashed[position] if again else 0), f"{stage} at {position}: {numbers}"
        assert max(numbers) <= 1 + retried[position]
    if not history.caught():
        assert not left, "nothing is left when a run is complete"


def check_undone(history: History, *, in_order: bool) -> None:
    nodes = history._ledger.plan.nodes
    done = [e.position for e in history.events if e.name == "stage.completed"]
    undone = [position[1:] for position in done if position.startswith("~")]
    owed = [at for at in done if not at.startswith("~") and _undoable(nodes[int(at.split(".")[0])])]
    owed = owed[::-1] if history.state is RunState.FAILED else []
    # What ends while the run is undone already is undone next.
    assert (undone == owed) if in_order else (sorted(undone) == sorted(owed))


def _undoable(node: object) -> bool:
    return isinstance(node, StageNode) and node.undo is not None


@settings(max_examples=500, deadline=None)
@given(
    flow=FLOWS,
    value=st.integers(0, 999),
    early=st.integers(0, 2),
    flaky=st.sets(st.sampled_from(["tag", "measure", "listed", "paged", "settled", "untag"])),
    crashing=st.sets(st.sampled_from(["tag", "none", "present", "paged"])),
    slow=st.sets(st.sampled_from(["tag", "measure", "brittle", "listed", "untag"])),
)
def test_a_flow_gives_what_direct_evaluation_gives(
    flow: Flow, value: int, early: int, flaky: set[str], crashing: set[str], slow: set[str]
) -> None:
    for seed in (None, 1, 2):
        engine = InlineEngine(seed=seed, retry=TWICE, definitions=DEFINITIONS)
        for stage in sorted(flaky):
            engine.faults.fail(stage, attempt=1)
        for stage in sorted(crashing):
            engine.faults.crash(stage)
        for seconds, stage in enumerate(sorted(slow), start=1):
            engine.faults.slow(stage, by=f"{seconds}s")
        with left_over() as left:
            run = started(engine, flow, value)
            for _ in range(early):
                engine.signal(run.id, SIGNAL, json.dumps(SIGNALLED).encode())
            brought_to_rest(engine)
        try:
            expected = evaluated(flow, value)
        except Dies:
            assert run.status() is RunState.FAILED
        else:
            assert run.status() is RunState.COMPLETED, engine.history(run).story()
            assert json.loads(engine.result(run.id)) == expected
        event(run.status())
        assert all(one.status().ended for one in engine.runs())
        for one in engine.runs():
            check_history(engine.history(one), left.get(one.id, []))
            check_undone(engine.history(one), in_order=not slow)


@settings(max_examples=100, deadline=None)
@given(flow=FLOWS)
def test_what_the_store_sends_by_itself_is_a_message(flow: Flow) -> None:
    nodes = compiled("any", flow).nodes
    for node in nodes:
        if isinstance(node, JoinNode | WaitNode | ChildNode):
            assert isinstance(nodes[node.next], MessageNode)
        if isinstance(node, EachNode):
            assert isinstance(nodes[node.body], MessageNode)
            assert node.pages is None or isinstance(nodes[node.pages], PagesNode)
        if isinstance(node, RepeatNode) and node.every_ms:
            assert isinstance(nodes[node.body], RelayNode)
        if isinstance(node, BackNode):
            assert not isinstance(nodes[node.next], JoinNode)


@settings(max_examples=100, deadline=None)
@given(flow=FLOWS)
def test_a_plan_is_the_same_after_its_json(flow: Flow) -> None:
    plan = compiled("any", flow)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert again.hash == plan.hash
