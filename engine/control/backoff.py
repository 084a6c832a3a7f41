"""When a process that died is started again: waits that double, forgotten after good health."""

from __future__ import annotations


class Backoff:
    """Waits of 0.5 s, 1 s, 2 s … 30 s between starts; 60 s of health begin anew. Times in ms.

    Args:
        first_ms: The wait after the first death.
        most_ms: The longest wait.
        healthy_ms: A process that lived this long owes nothing for the deaths before it.
    """

    def __init__(
        self, *, first_ms: int = 500, most_ms: int = 30_000, healthy_ms: int = 60_000
    ) -> None:
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._healthy_ms = healthy_ms
        self._deaths = 0

    def after_death(self, lived_ms: int) -> int:
        """Returns how long to wait before the next start of a process that lived so long."""
        if lived_ms >= self._healthy_ms:
            self._deaths = 0
        wait_ms = min(self._first_ms << self._deaths, self._most_ms)
        self._deaths = min(self._deaths + 1, 30)
        return wait_ms
