"""Gathered: messages whose outcome comes later than their call, such as those of a batch."""

from __future__ import annotations

from collections.abc import Callable

from engine.broker.handed import Handed
from engine.workflow.attempt import Deferral

_UNCOUNTED_AT_MOST = 1_000


class Gathered:
    """What one process holds without a thread that works on it."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    @property
    def uncounted(self) -> int:
        """How many of them the credit leaves out; bounded, so that a process never holds all."""
        return min(len(self._ids), _UNCOUNTED_AT_MOST)

    def add(self, handed: Handed, deferral: Deferral, then: Callable[[Handed], None]) -> None:
        """Keeps a message until its outcome is known."""
        self._ids.add(handed.delivery.id)

        def settled() -> None:
            self._ids.discard(handed.delivery.id)
            then(handed)

        deferral.then(settled)

    def forget(self) -> None:
        """What was held is others' now."""
        self._ids.clear()
