"""Runs that stand still: asleep, waiting for a signal, or due at a moment of their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from benchmarks.marks import mark
from engine import Pipeline, sleep, stage, wait_for

AT_A_TIME = 2_000


def moment_of(timer: list[int]) -> datetime:
    """When a timer, (its number, milliseconds since 1970), is due."""
    return datetime.fromtimestamp(timer[1] / 1000, UTC)


@stage
def fired(timer: list[int]) -> None:
    mark(timer[0])


asleep = Pipeline("asleep", sleep("1h") | fired)
waiting = Pipeline("waiting", wait_for("never", list[int]) | fired)
timed = Pipeline("timed", sleep(moment_of) | fired)


def fire_now() -> None:
    """One timer that is due, so that a worker has run everything once."""
    timed.start([0, 1]).wait("30s")


def stand_still(count: int) -> None:
    """Put `count` runs to sleep, and let as many wait."""
    for pipeline in (asleep, waiting):
        for low in range(0, count, AT_A_TIME):
            pipeline.start_many([[n, 0] for n in range(low, min(low + AT_A_TIME, count))])


def set_timers(count: int, ahead_s: float, over_s: float) -> list[int]:
    """Set `count` timers, due evenly over `over_s`, the first in `ahead_s`; give due times in ns.

    The times are of CLOCK_MONOTONIC, as marks are.
    """
    first_ms = int((time.time() + ahead_s) * 1000)
    due_ms = [first_ms + int(n * over_s * 1000 / count) for n in range(count)]
    for low in range(0, count, AT_A_TIME):
        numbers = range(low, min(low + AT_A_TIME, count))
        timed.start_many([[n, due_ms[n]] for n in numbers])
    if time.time() * 1000 >= first_ms:
        raise RuntimeError("setting the timers took longer than the time ahead of them")
    between_ns = time.monotonic_ns() - time.time_ns()
    return [ms * 1_000_000 + between_ns for ms in due_ms]
