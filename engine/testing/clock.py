"""Time for an inline engine: virtual, or the machine's own.

Owns: how time passes. Must not: run anything by itself; the engine says what falls due.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from engine.clock import Clock, Duration, ManualClock, SystemClock, duration_ms

_LONGEST_NAP_S = 0.05


class PassingClock(Clock, Protocol):
    """A clock that can be told to let time pass."""

    def pass_towards(self, at_ms: int) -> None:
        """Let time pass until `at_ms`, or a part of it."""
        ...


class VirtualClock(ManualClock):
    """A clock that moves only when told to, and then at once: a week takes no time."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        super().__init__(now_ms)
        self._run_due: Callable[[int], None] | None = None

    def attach(self, run_due: Callable[[int], None]) -> None:
        """Let `advance` run what falls due: `run_due(at_ms)` runs all of it up to a moment."""
        self._run_due = run_due

    def advance(self, by: Duration) -> None:
        """Let time pass, and run what falls due meanwhile, in the order in which it does."""
        until_ms = self.now_ms() + duration_ms(by, name="by")
        if self._run_due is not None:
            self._run_due(until_ms)
        self.pass_towards(until_ms)

    def pass_towards(self, at_ms: int) -> None:
        """Go to a moment at once; one that is past changes nothing."""
        super().advance(max(at_ms - self.now_ms(), 0))


class WallClock(SystemClock):
    """The machine's clock; letting time pass is sleeping."""

    __slots__ = ()

    def pass_towards(self, at_ms: int) -> None:
        """Sleep a little: somebody else may bring something to do meanwhile."""
        time.sleep(min(max(at_ms - self.now_ms(), 0) / 1000, _LONGEST_NAP_S))
