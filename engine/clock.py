"""Time: durations as people write them, and the clock as the engine reads it.

Owns: parsing durations into milliseconds and the `Clock` seam. Must not: decide anything about
work; only the server's clock does that, inside the scripts.
"""

from __future__ import annotations

import math
import re
import threading
import time
from datetime import timedelta
from typing import Protocol

from engine.errors import InvalidDuration

Duration = str | int | float | timedelta

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")

MAX_DURATION_MS = 100 * 366 * _UNIT_MS["d"]
"""A hundred years: more is a mistake, and keeps every due time within a double's whole numbers."""


def duration_ms(value: Duration, *, name: str = "duration") -> int:
    """Return a duration in whole milliseconds.

    Args:
        value: "250ms", "15s", "5m", "2h", "7d", "2w" or a sum like "1h30m"; a bare number is
            milliseconds; or a `timedelta`.
        name: what the error calls it.

    Raises:
        InvalidDuration: the value cannot be read, is negative, or is over a hundred years.
    """
    milliseconds = _read(value)
    if milliseconds is None or not 0 <= milliseconds <= MAX_DURATION_MS:
        raise InvalidDuration(name, value)
    return round(milliseconds)


def _read(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, timedelta):
        return value / timedelta(milliseconds=1)
    if isinstance(value, str):
        return _read_text(value.strip())
    return None


def _read_text(text: str) -> float | None:
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    if len(text) > 100 or not text.isascii() or not _WHOLE.fullmatch(text):
        return None
    return sum(float(number) * _UNIT_MS[unit] for number, unit in _PART.findall(text))


class Clock(Protocol):
    """Where now comes from."""

    def now_ms(self) -> int:
        """Return wall time in milliseconds since 1970."""
        ...

    def monotonic_ms(self) -> int:
        """Return milliseconds of a clock that never steps back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Return wall time in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return milliseconds of the machine's monotonic clock."""
        return time.monotonic_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to. Safe to read from several threads."""

    def __init__(self, now_ms: int = 1_700_000_000_000, monotonic_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return the wall time set or advanced to."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Return the sum of all advances; steps of the wall clock do not show here."""
        return self._monotonic_ms

    def advance(self, by: Duration) -> None:
        """Let time pass: both clocks go forward."""
        by_ms = duration_ms(by, name="by")
        with self._lock:
            self._now_ms += by_ms
            self._monotonic_ms += by_ms

    def step(self, by_ms: int) -> None:
        """Set the wall clock forward or back, as NTP would; the monotonic clock stays."""
        with self._lock:
            self._now_ms += by_ms
