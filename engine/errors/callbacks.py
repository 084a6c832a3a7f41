"""Errors of callbacks: one was refused, or there is nothing to call back.

Owns: everything under `CallbackError`. Must not: show a token; who has it may answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors.definitions import ConfigurationError
from engine.errors.inputs import InputError
from engine.errors.tree import CallboardError, did_you_mean, shown


class CallbackError(CallboardError):
    """A callback was refused; nothing has been changed."""

    code = "callback_error"


class CallbackForged(CallbackError):
    """The token is not one of ours: cut, altered, made up, or signed with another secret."""

    code = "callback_forged"

    def __init__(self) -> None:
        super().__init__(
            "The callback token was not made here. Use the callback's address as it was given, "
            "whole and unchanged."
        )


class CallbackLate(CallbackError):
    """Nothing waits for the callback any more, and nothing will."""

    code = "callback_late"

    def __init__(self, run_id: str, state: str | None = None) -> None:
        self.run_id, self.state = run_id, state
        why = {"late": "the wait or the callback's own time is over", None: "the run is not stored"}
        super().__init__(
            f"The callback for run {run_id} comes too late: "
            f"{why.get(state, f'the run is {state}')}. Give the wait a longer timeout if needed."
        )


class CallbackRepeated(CallbackError):
    """A callback has answered this wait before; the first one counts."""

    code = "callback_repeated"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"The wait of run {run_id} was called back before, and that callback counts. "
            "Whoever sent it again because the answer was lost need do nothing more."
        )


class CallbackBodyInvalid(InputError):
    """What a callback brought over HTTP has not the form that it must have."""

    code = "callback_body_invalid"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f'The body of the callback {problem}. Send {{"ok": true, "value": ...}} or '
            '{"ok": false, "error": "why"} as JSON.'
        )


class NoWaitAhead(ConfigurationError):
    """A stage asks for a callback to a wait that the run will not come to."""

    code = "no_wait_ahead"

    def __init__(self, stage: str, name: str, known: Iterable[str]) -> None:
        self.stage, self.name, self.known = stage, name, tuple(known)
        super().__init__(
            f"No wait_for({shown(name)}) comes behind stage {stage!r} in its plan, inside the same "
            f"each or repeat.{did_you_mean(name, self.known)} Put one behind the stage."
        )
