"""A file of timestamps, shared by memory map between a benchmark and its workers.

Owns: the slots. A worker writes CLOCK_MONOTONIC in nanoseconds into the slot of the job it just
ran; that costs under a microsecond, no system call, and the same for every peer. The clock is one
for all processes of a machine. Must not: know what the slots mean.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "BENCH_MARKS"
WIDTH = 8


class Marks:
    """The slots of one file; zero means not reached yet.

    Args:
        path: The file; it is created when `slots` is given, else opened as it is.
        slots: How many timestamps to make room for.
    """

    def __init__(self, path: str | os.PathLike[str], slots: int | None = None) -> None:
        if slots is not None:
            with Path(path).open("wb") as file:
                file.truncate(max(1, slots) * WIDTH)
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._slots = memoryview(self._map).cast("Q")
        self._reached = 0  # slots before this one have been seen reached

    def mark(self, slot: int) -> None:
        """Note that the job of `slot` ran now."""
        self._slots[slot] = time.monotonic_ns()

    def reached(self, slot: int) -> bool:
        """True when `slot` has been marked."""
        return self._slots[slot] != 0

    def all(self) -> Sequence[int]:
        """Give all slots, in nanoseconds; zero where nothing happened yet."""
        return self._slots.tolist()

    def missing(self) -> int:
        """Count the slots that were not reached."""
        return self.all().count(0)

    def begun(self) -> bool:
        """True when any slot was reached."""
        return bool(self._map[:].strip(b"\0"))

    def complete(self) -> bool:
        """True when every slot was reached; cheap to ask often: it goes on where it stopped."""
        while self._reached < len(self._slots) and self._slots[self._reached]:
            self._reached += 1
        return self._reached == len(self._slots)


_opened: Marks | None = None


def mark(slot: int) -> None:
    """Mark `slot` in the file that the environment names; workers call this."""
    global _opened  # noqa: PLW0603
    if _opened is None:
        _opened = Marks(os.environ[VARIABLE])
    _opened.mark(slot)
