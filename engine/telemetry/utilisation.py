"""How busy a process's worker threads were since somebody last asked.

Owns: the integral of busy threads over time; an attempt of ten minutes counts while it runs, not
when it ends. Must not: know what the threads do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Utilisation:
    """Share of thread time spent in attempts, 0.0 to 1.0."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0
        self._area_s = 0.0
        self._changed_at_s = self._asked_at_s = monotonic()

    def set_threads(self, threads: int) -> None:
        """`threads`: how many worker threads this process has; 0 means it is no worker."""
        self._threads = threads

    def enter(self) -> None:
        """A thread took up an attempt."""
        self._change(1)

    def leave(self) -> None:
        """A thread is done with its attempt."""
        self._change(-1)

    def take(self) -> float | None:
        """The share since the last call; None for a process without worker threads."""
        with self._lock:
            now_s = self._advance()
            area_s, self._area_s = self._area_s, 0.0
            elapsed_s, self._asked_at_s = now_s - self._asked_at_s, now_s
        if self._threads <= 0 or elapsed_s <= 0:
            return None
        return min(1.0, area_s / (elapsed_s * self._threads))

    def _change(self, by: int) -> None:
        with self._lock:
            self._advance()
            # Never below 0: counting may begin while attempts are under way.
            self._busy = max(0, self._busy + by)

    def _advance(self) -> float:
        now_s = self._monotonic()
        self._area_s += self._busy * (now_s - self._changed_at_s)
        self._changed_at_s = now_s
        return now_s
