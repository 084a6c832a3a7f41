"""What must hold of the story of a generated run, whatever was killed while it was told.

Owns: a run's story as the event stream tells it, and four rules: it came to one of its results, no
pause was cut short, what lost a race led nowhere, and what was done is undone once, last first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.bootstrap import Engine
from engine.workflow.nodes import JoinNode, RelayNode, RepeatNode, StageNode, WaitNode
from engine.workflow.plan import Plan
from engine.workflow.run import Run, RunState
from tests.chaos.history import ENDS, History
from tests.chaos.matrix import Made

# A fact is stamped when its script writes it, and a pause counts from when the script began; no
# script is longer than this.
SCRIPT_MS = 5


class Told(NamedTuple):
    """One event of a run; `position` is empty where the run itself is meant."""

    at_ms: int
    event: str
    position: str


class Story:
    """One run, in the order of its events."""

    def __init__(self, run: str, pipeline: str) -> None:
        self.run = run
        self.pipeline = pipeline
        self.told: list[Told] = []

    def at_ms(self, *events: str) -> dict[str, int]:
        """When the last of these events was told, by position."""
        return {one.position: one.at_ms for one in self.told if one.event in events}

    @property
    def ended(self) -> bool:
        """Whether its end was told."""
        return any(one.event in ENDS for one in self.told)


def stories(history: History) -> dict[str, Story]:
    """Every run that has begun, children included."""
    found: dict[str, Story] = {}
    for record in history.events():
        facts = record.facts
        run = facts.get("run", "")
        if facts["event"] == "run.started":
            found[run] = Story(run, facts["pipeline"])
        if run in found:
            told = Told(record.at_ms, facts["event"], facts.get("position", ""))
            found[run].told.append(told)
    return found


def check_stories(history: History, made: Mapping[str, Made], inputs: Mapping[str, int]) -> None:
    """Hold every run against the rules; `inputs` are those of the runs that the test started."""
    faults: list[str] = []
    for story in stories(history).values():
        one = made[story.pipeline]
        plan = one.pipeline.plan()
        found = [*_unpaused(plan, story), *_losers(plan, story), *_undoing(plan, story)]
        if story.run in inputs:
            found += _result(history.engine, one, story.run, inputs[story.run])
        faults += [f"{story.pipeline} {story.run}: {fault}" for fault in found]
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:20])


def _result(engine: Engine, made: Made, run: str, number: int) -> Iterator[str]:
    allowed = made.part.ends(number)
    handle = Run(run, engine)
    state = handle.status()
    came_to = handle.result() if state is RunState.COMPLETED else None
    if state is RunState.CANCELLED or came_to not in allowed:
        yield f"{number} came to {came_to} ({state}), not to one of {sorted(map(str, allowed))[:9]}"


# -- no pause is cut short ---------------------------------------------------------------------


def _unpaused(plan: Plan, story: Story) -> Iterator[str]:
    done = story.at_ms("stage.completed")
    over = story.at_ms("stage.completed", "stage.caught", "stage.died")
    for position, begun_ms in done.items():
        number, dot, indices = position.partition(".")
        node = plan.nodes[int(number)] if number.isdigit() else None
        if isinstance(node, StageNode) and node.member is None:
            after = f"{node.next}{dot}{indices}"
            pause_ms = _pause_ms(plan, node.next)
            if pause_ms and after in over and over[after] < begun_ms + pause_ms - SCRIPT_MS:
                yield f"{after} was over {over[after] - begun_ms} ms behind {position}"
    yield from _hurried_rounds(plan, done)


def _pause_ms(plan: Plan, number: int) -> int:
    node = plan.nodes[number]
    if isinstance(node, RelayNode):
        return node.delay_ms
    return (node.timeout_ms or 0) if isinstance(node, WaitNode) else 0


def _hurried_rounds(plan: Plan, done: Mapping[str, int]) -> Iterator[str]:
    for node in plan.nodes:
        if not isinstance(node, RepeatNode) or not node.every_ms:
            continue
        for position, at_ms in done.items():
            number, _, indices = position.partition(".")
            outside, _, last = indices.rpartition(".")
            if number != str(node.body) or last == "0":
                continue
            before = ".".join(part for part in (number, outside, str(int(last) - 1)) if part)
            if before in done and at_ms < done[before] + node.every_ms - SCRIPT_MS:
                yield f"round {position} came {at_ms - done[before]} ms behind the one before"


# -- losers lead nowhere -----------------------------------------------------------------------


def _losers(plan: Plan, story: Story) -> Iterator[str]:
    for number, node in enumerate(plan.nodes):
        if isinstance(node, JoinNode) and node.need and node.fork is not None:
            yield from _late_losers(plan, story, number, node)


def _late_losers(plan: Plan, story: Story, number: int, join: JoinNode) -> Iterator[str]:
    """A stage of a branch ends in no way once the stage behind the join is over.

    A branch that was caught has arrived: what else of it is under way is no loser of the race.
    """
    assert join.fork is not None
    won: list[str] = []
    caught: set[tuple[str, int]] = set()
    for one in story.told:
        head, dot, indices = one.position.partition(".")
        if not head.isdigit() or not one.event.startswith("stage."):
            continue
        if one.event == "stage.completed" and int(head) == join.next:
            won.append(dot + indices)
        if not join.fork < int(head) < number:
            continue
        branch = _branch_of(plan, join.fork, int(head))
        if one.event == "stage.caught":
            caught.add((dot + indices, branch))
        for scope in won:
            inside = (dot + indices + ".").startswith(scope + ".")
            excused = any(b == branch and (at + ".").startswith(scope + ".") for at, b in caught)
            if inside and not excused:
                yield f"{one.event} at {one.position} behind the join at {number}{scope}"


def _branch_of(plan: Plan, fork: int, number: int) -> int:
    branches: tuple[int, ...] = plan.nodes[fork].branches  # type: ignore[union-attr]
    return max(branch for branch in branches if branch <= number)


# -- compensation ------------------------------------------------------------------------------


def _undoing(plan: Plan, story: Story) -> Iterator[str]:
    """Act the undoing out: a stack of what was done, taken from the top while the run is undone."""
    done: list[str] = []
    undone: list[str] = []
    under_way: str | None = None
    begun = False
    for one in story.told:
        if one.event == "run.undoing":
            begun, under_way = True, done.pop()
        elif one.event != "stage.completed":
            continue
        elif one.position.startswith("~"):
            undone.append(one.position[1:])
            if under_way is not None:
                if undone[-1] != under_way:
                    yield f"{undone[-1]} was undone where {under_way} was next"
                under_way = done.pop() if done else None
        elif _has_undo(plan, one.position):
            done.append(one.position)
    failed = any(one.event == "run.failed" for one in story.told)
    every = [p for p in story.at_ms("stage.completed") if _has_undo(plan, p)]
    if failed and sorted(undone) != sorted(every):
        yield f"done were {sorted(every)}, undone {sorted(undone)} (undoing begun: {begun})"
    if not failed and undone:
        yield f"undone though the run did not fail: {undone}"


def _has_undo(plan: Plan, position: str) -> bool:
    number = position.partition(".")[0]
    node = plan.nodes[int(number)] if number.isdigit() else None
    return isinstance(node, StageNode) and node.undo is not None
