"""Errors of runs: one ended badly, is not known, or took too long.

Owns: everything under `RunError`, and `DeadlineExceeded`. Must not: hold results or payloads.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors.tree import CallboardError, shown


class RunError(CallboardError):
    """Something about one run; `run_id` names it."""

    code = "run_error"


class RunNotFound(RunError):
    """No run of this id is stored: it never was, or its retention is over."""

    code = "run_not_found"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"Run {shown(run_id)} is not known. It never started, or it ended longer ago than its "
            "retention; the archive may still have it."
        )


class RunFailed(RunError):
    """The run ended because a stage died. The dead letter keeps the whole story."""

    code = "run_failed"

    def __init__(self, run_id: str, stage: str = "", failure: str = "", message: str = "") -> None:
        self.run_id, self.stage, self.failure, self.message = run_id, stage, failure, message
        where = f" in stage {stage!r}" if stage else ""
        what = f": {failure}: {message}" if failure else ""
        super().__init__(f"Run {run_id} failed{where}{what}. Redrive its dead letter to go on.")


class RunCancelled(RunError):
    """The run was cancelled; it has no result."""

    code = "run_cancelled"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"Run {run_id} was cancelled and has no result. Start it anew if needed.")


class RunEnded(RunError):
    """A run that has ended was asked to take a signal or to pause; nothing was changed."""

    code = "run_ended"

    def __init__(self, run_id: str, state: str) -> None:
        self.run_id, self.state = run_id, state
        super().__init__(f"Run {run_id} is {state}. Only a run under way can be signalled or held.")


class SignalsFull(RunError):
    """A run keeps as many signals of one name as it may; this one was not taken in."""

    code = "signals_full"

    def __init__(self, run_id: str, name: str) -> None:
        self.run_id, self.name = run_id, name
        super().__init__(
            f"Run {run_id} keeps 1,000 signals {name!r} that nothing has waited for. "
            "Does the pipeline have wait_for with this name?"
        )


class WaitTimeout(RunError):
    """The run had not ended when the wait was over; it goes on."""

    code = "wait_timeout"

    def __init__(self, run_id: str, timeout_ms: int) -> None:
        self.run_id, self.timeout_ms = run_id, timeout_ms
        super().__init__(
            f"Run {run_id} has not ended within {timeout_ms} ms. It goes on: wait again or look "
            "at its view."
        )


class IdempotentRunFailed(RunError):
    """A start repeats the key of a run that failed, and `on_dead` is 'error'."""

    code = "idempotent_run_failed"

    def __init__(self, run_id: str, key: str) -> None:
        self.run_id, self.key = run_id, key
        super().__init__(
            f"Key {shown(key)} belongs to run {run_id}, which failed. Redrive that run, use "
            "another key, or declare Idempotency(on_dead='restart')."
        )


class DeadLetterNotFound(RunError):
    """No dead letter of this id is stored."""

    code = "dead_letter_not_found"

    def __init__(self, letter_id: str) -> None:
        self.letter_id = letter_id
        super().__init__(
            f"Dead letter {shown(letter_id)} is not known: redriven, purged or past its retention."
        )


class RunNotFailed(RunError):
    """A retry is asked for, and the run has not failed."""

    code = "run_not_failed"

    def __init__(self, run_id: str, state: str) -> None:
        self.run_id, self.state = run_id, state
        super().__init__(
            f"Run {run_id} is {state}, so there is nothing to retry. Only a failed run goes on "
            "from where it died; replay an ended one as a new run."
        )


class LettersGone(RunError):
    """A failed run has no dead letter left, or its stage's input is gone."""

    code = "letters_gone"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"Run {run_id} failed, but what it died of was purged or is past its retention. "
            "Replay it as a new run."
        )


class RunNotOver(RunError):
    """A replay is asked for, and the run goes on."""

    code = "run_not_over"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"Run {run_id} is running. Wait for its end or cancel it, then replay it.")


class ReplayRefused(RunError):
    """A run cannot be replayed, or not from there; nothing was started."""

    code = "replay_refused"

    def __init__(self, run_id: str, problem: str, possible: Iterable[str] = ()) -> None:
        self.run_id, self.problem, self.possible = run_id, problem, tuple(possible)
        remedy = (
            f"It can be replayed from {', '.join(self.possible)}."
            if self.possible
            else "Start the pipeline anew with the input."
        )
        super().__init__(f"Run {run_id} cannot be replayed like this: {problem}. {remedy}")


class DeadlineExceeded(CallboardError):
    """A stage ran longer than its `timeout`; the attempt counts as failed."""

    code = "deadline_exceeded"

    def __init__(self, stage: str, timeout_ms: int) -> None:
        self.stage, self.timeout_ms = stage, timeout_ms
        super().__init__(
            f"Stage {stage!r} ran longer than its timeout of {timeout_ms} ms. Make the work "
            "shorter or raise @stage(timeout=...)."
        )
