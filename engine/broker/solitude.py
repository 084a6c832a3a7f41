"""Solitude: a suspect runs alone, so its process makes itself empty first.

The room owns whether this process drains for a suspect or runs one; what it holds, the pump knows.
"""

from __future__ import annotations

import time

from engine.store.entries import Batch

_DRAINED_AT_MOST_S = 10.0


class Solitude:
    """One process's turn with the suspects.

    Attributes:
        alone: A suspect is here and nothing else may begin.
    """

    def __init__(self) -> None:
        self.alone = False
        self._drains = False
        self._drains_since = 0.0
        self._not_before = 0.0

    @property
    def kept(self) -> bool:
        """Whether nothing is to be fetched before this process is empty."""
        if self._drains and time.monotonic() - self._drains_since > _DRAINED_AT_MOST_S:
            # A long attempt holds it up: others may take the suspect, and this process goes on.
            self._drains = False
            self._not_before = time.monotonic() + _DRAINED_AT_MOST_S
        return self._drains or self.alone

    @property
    def refused(self) -> bool:
        """Whether this process has drained in vain a moment ago, and is not to be asked again."""
        return time.monotonic() < self._not_before

    def learn(self, batch: Batch, *, holding: bool) -> None:
        """A fetch was answered: a suspect came, or one waits until this process is empty."""
        self.alone = bool(batch.suspects_wait and batch.deliveries)
        drains = batch.suspects_wait and not batch.deliveries and holding
        if drains and not self._drains:
            self._drains_since = time.monotonic()
        self._drains = drains

    def end(self) -> None:
        """The process is empty."""
        self.alone = False

    def forget(self) -> None:
        """What it held is others' now."""
        self.alone = self._drains = False
