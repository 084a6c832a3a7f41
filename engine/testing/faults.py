"""Faults that a test puts in the way: failures, slowness and crashes, by stage and attempt.

Owns: `Faults`. Must not: count anything; what is in the way follows from the attempt alone, so that
the order in which runs are worked changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.clock import Duration, duration_ms
from engine.errors import OptionInvalid, UnknownStage
from engine.workflow.bounds import whole_number
from engine.workflow.payload import decode_untyped
from engine.workflow.registry import Registry
from engine.workflow.retry import MAX_ATTEMPTS
from engine.workflow.stage import Stage

When = Callable[[Any], bool]
Raised = BaseException | type[BaseException]


class InjectedFailure(Exception):
    """What an attempt fails with where a test names no error."""


@dataclass(frozen=True, slots=True)
class _Rule:
    stage: str
    attempt: int | None
    times: int | None
    when: When | None
    error: Raised = InjectedFailure
    by_ms: int = 0

    def meets(self, stage: str, number: int, payload: bytes) -> bool:
        if stage != self.stage or self.attempt not in (None, number):
            return False
        if self.times is not None and number > self.times:
            return False
        return self.when is None or bool(self.when(decode_untyped(payload)))


class Faults:
    """What goes wrong in an inline engine, until `clear()`.

    Every rule may be narrowed: `attempt=2` is the second attempt at each position alone, `times=2`
    the first two; without either it is every attempt. `when` sees the stage's input as plain JSON
    data and says whether the rule is meant.

    Raises (all rules): UnknownStage for a stage that is not defined; OptionInvalid.
    """

    def __init__(self, definitions: Registry) -> None:
        self._definitions = definitions
        self._failures: list[_Rule] = []
        self._pauses: list[_Rule] = []
        self._crashes: list[_Rule] = []

    def fail(
        self,
        stage: str | Stage[..., Any],
        *,
        attempt: int | None = None,
        times: int | None = None,
        error: Raised = InjectedFailure,
        when: When | None = None,
    ) -> None:
        """Let attempts fail with `error` before the function runs."""
        if not isinstance(error, BaseException) and not _is_exception(error):
            raise OptionInvalid("error", error, "an exception or its class")
        self._failures.append(self._rule(stage, attempt, times, when, error=error))

    def slow(
        self,
        stage: str | Stage[..., Any],
        *,
        by: Duration,
        attempt: int | None = None,
        times: int | None = None,
        when: When | None = None,
    ) -> None:
        """Let attempts be under way for `by` before the function runs; a timeout strikes then."""
        by_ms = duration_ms(by, name="by")
        self._pauses.append(self._rule(stage, attempt, times, when, by_ms=by_ms))

    def crash(
        self, stage: str | Stage[..., Any], *, times: int = 1, when: When | None = None
    ) -> None:
        """Let the worker die after the function ran, before anybody learns of it, so many times."""
        self._crashes.append(self._rule(stage, None, times, when))

    def clear(self) -> None:
        """Forget all rules."""
        for rules in (self._failures, self._pauses, self._crashes):
            rules.clear()

    def failure_of(self, stage: str, number: int, payload: bytes) -> BaseException | None:
        """Return what an attempt fails with, None if it may run."""
        for rule in self._failures:
            if rule.meets(stage, number, payload):
                return rule.error if isinstance(rule.error, BaseException) else rule.error()
        return None

    def pause_ms(self, stage: str, number: int, payload: bytes) -> int:
        """Return how long an attempt is under way before its function runs."""
        return sum(rule.by_ms for rule in self._pauses if rule.meets(stage, number, payload))

    def crashes(self, stage: str, stalls: int, payload: bytes) -> bool:
        """Say whether the worker dies; `stalls` is how often it has for this message."""
        return any(rule.meets(stage, stalls + 1, payload) for rule in self._crashes)

    def _rule(
        self,
        stage: str | Stage[..., Any],
        attempt: int | None,
        times: int | None,
        when: When | None,
        *,
        error: Raised = InjectedFailure,
        by_ms: int = 0,
    ) -> _Rule:
        name = stage.name if isinstance(stage, Stage) else stage
        if name not in self._definitions.stages:
            raise UnknownStage(name, self._definitions.stages)
        for option, given in (("attempt", attempt), ("times", times)):
            if given is not None:
                whole_number(option, given, 1, MAX_ATTEMPTS)
        return _Rule(name, attempt, times, when, error, by_ms)


def _is_exception(error: object) -> bool:
    return isinstance(error, type) and issubclass(error, BaseException)
