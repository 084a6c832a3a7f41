"""Retrying a failed run from where it died, with or without a correction of the stage's input.

Owns: finding a run's dead letters, and validating all corrections before the first letter moves.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.control.patching import Patch
from engine.control.why import places_of, plan_of, stage_at
from engine.errors import (
    DeadLetterNotFound,
    LettersGone,
    OptionInvalid,
    RunNotFailed,
    RunNotFound,
    UnknownStage,
)
from engine.store.letters import Letter
from engine.store.runs import RunRecord
from engine.store.store import Store
from engine.store.wire import StageBody
from engine.workflow.registry import Registry

_encode = msgspec.json.encode


class Retried(NamedTuple):
    """One dead letter of a run.

    Attributes:
        reason: why it died.
        verdict: `redriven`; `would_be` in a dry run; else why it stays, such as `run_gone`.
    """

    message: str
    stage: str
    reason: str
    verdict: str


class Retry(NamedTuple):
    """What became of a run's dead letters."""

    run: str
    letters: list[Retried]

    @property
    def good(self) -> bool:
        """Whether every letter went, or would go."""
        return all(one.verdict in {"redriven", "would_be"} for one in self.letters)


def retry(
    store: Store,
    run_id: str,
    *,
    stage: str | None = None,
    patch: Patch | None = None,
    definitions: Registry | None = None,
    dry_run: bool = False,
) -> Retry:
    """Puts the dead letters of a failed run back to work; the run goes on from there.

    Args:
        store: Where it is.
        run_id: Its whole id.
        stage: Only the letters of this stage.
        patch: Applied to the input of the stage; the corrected input must have the stage's type.
        definitions: Knows the stage's type; needed with a patch.
        dry_run: Check everything and change nothing.

    Raises:
        RunNotFound, RunNotFailed, LettersGone: There is nothing to retry.
        UnknownStage: The stage has no dead letter in this run, or is not known here.
        PatchInvalid, PayloadInvalid: The correction does not fit; no letter has moved.
        OptionInvalid: A patch, and dead letters of several stages.
    """
    record = store.runs.read(run_id)
    if record is None:
        raise RunNotFound(run_id)
    if record.state != "failed":
        raise RunNotFailed(run_id, record.state)
    named = _chosen(letters_of(store, record), stage, run_id)
    bodies = [b""] * len(named)
    if patch is not None:
        if len({name for name, _ in named}) > 1:
            stages = ", ".join(sorted({name for name, _ in named}))
            raise OptionInvalid("stage", stage, f"one of {stages}: a patch is for one stage")
        bodies = [_patched(store, letter, patch, definitions or Registry()) for _, letter in named]
    retried = [
        Retried(letter.message, name, letter.reason, _redriven(store, letter, body, dry_run))
        for (name, letter), body in zip(named, bodies, strict=True)
    ]
    return Retry(run_id, retried)


def letters_of(store: Store, record: RunRecord) -> list[tuple[str, Letter]]:
    """Returns a run's dead letters with their stages; raises RunNotFound without its plan."""
    plan = plan_of(store, record)
    places, _ = places_of(store, record.id, plan)
    noted = [one.position for one in record.stages if one.state == "dead"]
    found = store.whereabouts.dead(record.id, list(dict.fromkeys([*noted, *places])))
    letters = [letter for letter in map(store.letters.read, found) if letter is not None]
    return [(stage_at(plan, one.message.partition(":")[2]), one) for one in letters]


def _chosen(
    named: list[tuple[str, Letter]], stage: str | None, run_id: str
) -> list[tuple[str, Letter]]:
    if not named:
        raise LettersGone(run_id)
    chosen = [pair for pair in named if stage is None or pair[0] == stage]
    if not chosen:
        raise UnknownStage(str(stage), sorted({name for name, _ in named}))
    return chosen


def _patched(store: Store, letter: Letter, patch: Patch, definitions: Registry) -> bytes:
    """The stage's message with the corrected input in it, validated."""
    try:
        found = store.letters.input_of(letter)
    except msgspec.MsgspecError:
        found = None
    if found is None:
        raise LettersGone(letter.message[:32])
    body, payload = found
    stage = definitions.stage(body.stage)
    corrected = patch.apply(payload, body.stage)
    stage.inputs.decode(corrected)
    whole = StageBody(body.plan, body.stage, body.trace, msgspec.Raw(corrected))
    return _encode(whole)


def _redriven(store: Store, letter: Letter, body: bytes, dry_run: bool) -> str:
    if dry_run:
        return "would_be"
    verdict = store.letters.redrive(letter.message, body, whole=bool(body))
    if verdict == "unknown":
        return DeadLetterNotFound.code  # someone else was quicker
    return verdict
