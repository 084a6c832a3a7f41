"""Credit: how many messages a process may hold.

What is leased but not begun is bounded in time: about 20 ms of recent attempt time, at most 128
messages, and nothing ahead of long attempts. What is finished but not committed counts too.
"""

from __future__ import annotations

AHEAD_MS = 20.0
AHEAD_AT_MOST = 128
_NEWS = 0.05  # weight of the newest attempt in the running average


class Credit:
    """Counts nothing itself: given what is held, says how many more may be fetched.

    Args:
        threads: Attempts that run at once.
        cap: Hard limit on held messages, from `dramatiq_queue_prefetch`; 0 for none.
    """

    def __init__(self, threads: int, cap: int = 0) -> None:
        self.threads = threads
        self.cap = cap
        self._attempt_ms = AHEAD_MS * 2  # nothing ahead before anything is known

    def note(self, attempt_ms: float) -> None:
        """Takes the duration of a finished attempt into account."""
        self._attempt_ms += (attempt_ms - self._attempt_ms) * _NEWS

    def surprise(self) -> None:
        """Attempts last longer than the past made believe: nothing more is leased ahead for now."""
        self._attempt_ms = max(self._attempt_ms, AHEAD_MS * 2)

    @property
    def ahead(self) -> int:
        """How many may be leased and not begun."""
        if self._attempt_ms > AHEAD_MS:
            return 0
        return min(AHEAD_AT_MOST, int(AHEAD_MS * self.threads / max(self._attempt_ms, 0.01)))

    def room(self, held: int) -> int:
        """How many more may be fetched now."""
        limit = self.threads + self.ahead
        if self.cap:
            limit = min(limit, self.cap)
        return max(limit - held, 0)
