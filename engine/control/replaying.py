"""Replaying an ended run from any of its stages, as a new run that reuses earlier results."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine.control.retrying import letters_of
from engine.control.why import plan_of, stage_at
from engine.errors import ReplayRefused, RunNotFound, RunNotOver, UnknownStage
from engine.store.entries import Beginning, text
from engine.store.letters import Letter
from engine.store.runs import Kept, RunRecord, StageRecord
from engine.store.store import Store
from engine.store.wire import Wire
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.replay import Past, Replay, places_of_stage, replayable, replayed
from engine.workflow.run import RunState, new_run_id
from engine.workflow.transitions import begin


class Replayed(NamedTuple):
    """A replay.

    Attributes:
        run: the new run; None in a dry run.
        replay_of: the old one.
        stage: where it begins; None is the beginning.
        reused: stages whose results are reused.
        again: stages before or beside it that run again, as their results are not kept.
    """

    run: str | None
    replay_of: str
    stage: str | None
    reused: list[str]
    again: list[str]


class Replayer:
    """Replays the runs of one store.

    Args:
        store: Where they are.
        definitions: Knows the functions that choose.
        plan_of: Plan by hash, for child runs.
        wire: Turns edges into what the store starts with.
    """

    def __init__(
        self, store: Store, definitions: Registry, plan_of: Callable[[str], Plan], wire: Wire
    ) -> None:
        self._store, self._definitions = store, definitions
        self._plan_of, self._wire = plan_of, wire

    def replay(self, run_id: str, *, stage: str | None = None, dry_run: bool = False) -> Replayed:
        """Starts a new run on the old one's plan, for the same tenant with the same attributes.

        Args:
            run_id: The ended run; its whole id.
            stage: Where to begin: a stage, or the number of its node; None is the beginning.
            dry_run: Say what would be reused and start nothing.

        Raises:
            RunNotFound, RunNotOver: There is no ended run of this id.
            UnknownStage: The plan has no such stage.
            ReplayRefused: The run never got there, or its input is not kept; the message lists the
                stages that it can be replayed from.
            UnknownCase: A function that chooses is not known here.
        """
        record = self._store.runs.read(run_id)
        if record is None:
            raise RunNotFound(run_id)
        if record.state == RunState.RUNNING:
            raise RunNotOver(run_id)
        plan, kept = plan_of(self._store, record), self._store.runs.kept(run_id)
        letters = [letter for _, letter in letters_of(self._store, record)]
        source = self._input_of(record, plan, kept, letters)
        found = self._planned(
            record, plan, Past(source, kept.results, _seen(record, letters)), stage
        )
        new = None if dry_run else self._started(record, plan, kept, source, found)
        reused = [stage_at(plan, position) for position in found.reused]
        again = [stage_at(plan, position) for position in found.again]
        return Replayed(new, run_id, stage, _named(reused), _named(again))

    def _planned(self, record: RunRecord, plan: Plan, past: Past, stage: str | None) -> Replay:
        decide = self._definitions.decide
        if stage is None:
            return Replay(begin(plan, past.input, decide, self._plan_of), (), ())
        found = replayed(plan, past, _place(record.id, plan, stage), decide, self._plan_of)
        if found is None:
            possible = replayable(plan, past, decide, self._plan_of)
            raise ReplayRefused(record.id, f"it never got to {stage!r}", possible)
        return found

    def _input_of(self, record: RunRecord, plan: Plan, kept: Kept, letters: list[Letter]) -> bytes:
        """The run's input: kept with the run, else in the message of its first stage."""
        if kept.input is not None:
            return kept.input
        firsts = {f"{record.id}:{position}" for position in plan.bearers}
        for letter in letters:
            found = letter.message in firsts and self._store.letters.input_of(letter)
            if found:
                return found[1]
        raise ReplayRefused(record.id, "its input is not kept, as its first stage never ended")

    def _started(
        self, record: RunRecord, plan: Plan, kept: Kept, source: bytes, found: Replay
    ) -> str:
        run = new_run_id()
        reused = set(found.reused)
        notes: list[object] = ["replay_of", record.id, "input", text(source)]
        for one in record.stages:
            if one.position in reused:
                notes += (f"s:{one.position}", _as_reused(one))
                notes += (f"r:{one.position}", text(kept.results[one.position]))
        beginning = Beginning(
            run,
            record.pipeline,
            record.plan,
            record.tenant,
            kept.keep_ms,
            0,
            self._wire.edges(plan.hash, None, found.edges),
            None,
            None,
            attributes=tuple(f"{name}={value}" for name, value in record.attributes.items()),
            notes=tuple(notes),
        )
        self._store.transit.start([beginning.packed()])
        return run


def _place(run_id: str, plan: Plan, stage: str) -> int:
    """The node of a stage, given by its name or, where it stands twice, by the node's number."""
    if stage.isdigit() and int(stage) < len(plan.nodes):
        return int(stage)
    places = places_of_stage(plan, stage)
    if not places:
        raise UnknownStage(stage, plan.stages())
    if len(places) > 1:
        raise ReplayRefused(run_id, f"{stage!r} stands at several nodes", map(str, places))
    return places[0]


def _seen(record: RunRecord, letters: list[Letter]) -> set[str]:
    ended = {one.position for one in record.stages}
    return ended | {letter.message.partition(":")[2] for letter in letters}


def _as_reused(one: StageRecord) -> str:
    return f"{one.attempt} {one.ended_at_ms} {one.wait_ms} {one.run_ms} reused {one.stage}"


def _named(stages: list[str]) -> list[str]:
    return [stage for stage in dict.fromkeys(stages) if not stage.startswith("~")]
