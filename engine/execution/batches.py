"""Batches: attempts of one stage and tenant, gathered until they are many or the first has waited.

The last attempt of a full batch makes the call in its own thread; a batch whose time is up gets a
thread of its own. After `close` nothing is gathered any more: each attempt goes at once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.workflow.attempt import Attempt
from engine.workflow.nodes import BatchOf
from engine.workflow.stage import Stage

Act = Callable[[Stage[..., Any], list[Attempt]], None]


@dataclass(slots=True)
class _Pot:
    stage: Stage[..., Any]
    due_at: float
    attempts: list[Attempt] = field(default_factory=list[Attempt])


class Batches:
    """The batches of one process.

    Args:
        act: Makes one call for many attempts and settles them; never raises.
    """

    def __init__(self, act: Act) -> None:
        self._act = act
        self._pots: dict[tuple[str, str], _Pot] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._pid = 0

    def add(self, stage: Stage[..., Any], of: BatchOf, attempt: Attempt) -> None:
        """Takes an attempt in, and makes the call if that fills its batch."""
        key = (stage.name, attempt.tenant)
        with self._changed:
            if self._pid != os.getpid():
                self._start_watching()
            pot = self._pots.get(key)
            if pot is None:
                pot = self._pots[key] = _Pot(stage, time.monotonic() + of.within_ms / 1000)
                self._changed.notify()
            pot.attempts.append(attempt)
            full = len(pot.attempts) >= of.size or self._closed
            if full:
                del self._pots[key]
        if full:
            self._act(stage, pot.attempts)

    def close(self) -> None:
        """Makes the calls for all that is gathered; later attempts are not gathered."""
        with self._changed:
            self._closed = True
            pots, self._pots = list(self._pots.values()), {}
        for pot in pots:
            self._act(pot.stage, pot.attempts)

    def open(self) -> None:
        """Gathers again."""
        self._closed = False

    def _start_watching(self) -> None:
        self._pid = os.getpid()
        self._pots.clear()
        threading.Thread(target=self._watch, name="callboard-batches", daemon=True).start()

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [key for key, pot in self._pots.items() if pot.due_at <= now]
                pots = [self._pots.pop(key) for key in due]
                if not pots:
                    nearest = min((pot.due_at for pot in self._pots.values()), default=None)
                    self._changed.wait(None if nearest is None else max(nearest - now, 0.0))
            for pot in pots:
                threading.Thread(
                    target=self._act,
                    args=(pot.stage, pot.attempts),
                    name="callboard-batch",
                    daemon=True,
                ).start()
