"""What is to be run: messages by the moment they fall due.

Owns: the order in which messages run. Must not: know runs or what a message leads to.

Among what is due the higher priority goes first, then what has waited longest. With a random source
any of it may be next: what holds in every order does not rest on one.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from engine.workflow.edges import Send

_PRIORITY = 5


@dataclass(eq=False, slots=True)
class Message:
    """One message of a run.

    Attributes:
        run_id: whose.
        send: position, stage, queue, priority and input.
        visible_at_ms: since when it may run.
        number: of the attempt it asks for.
        token: of its delivery; 0 before it begins.
        stalls: how often its worker died.
        dropped: whether it will not run any more.
    """

    run_id: str
    send: Send
    visible_at_ms: int
    number: int = 1
    token: int = 0
    stalls: int = 0
    dropped: bool = False

    @property
    def begun(self) -> bool:
        """Whether an attempt is under way."""
        return self.token > 0


class Agenda:
    """All messages that are not running, of all runs."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random
        self._count = itertools.count()
        self._later: list[tuple[int, int, Message]] = []
        self._ready: list[tuple[int, int, int, Message]] = []

    def add(self, message: Message, due_at_ms: int) -> None:
        """Take in a message to be run at a moment, or as soon as possible after it."""
        heapq.heappush(self._later, (due_at_ms, next(self._count), message))

    def take(self, now_ms: int) -> Message | None:
        """Return the message to run now, None if none is due."""
        while self._later and self._later[0][0] <= now_ms:
            due_at_ms, number, message = heapq.heappop(self._later)
            given = message.send.priority
            priority = _PRIORITY if given is None else given
            heapq.heappush(self._ready, (-priority, due_at_ms, number, message))
        while self._ready:
            message = self._next_ready()
            if not message.dropped:
                return message
        return None

    def take_like(self, joins_in: Callable[[Message], bool], at_most: int) -> list[Message]:
        """Return what is ready now and joins in, in order; the rest stays."""
        taken: list[Message] = []
        left = []
        for entry in sorted(self._ready, key=lambda entry: entry[:-1]):
            message = entry[-1]
            if len(taken) < at_most and not message.dropped and joins_in(message):
                taken.append(message)
            else:
                left.append(entry)
        self._ready = left
        heapq.heapify(self._ready)
        return taken

    def next_due_ms(self) -> int | None:
        """Return when the next message falls due, 0 if one is ready; None if there is none."""
        if any(not entry[-1].dropped for entry in self._ready):
            return 0
        while self._later and self._later[0][-1].dropped:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def _next_ready(self) -> Message:
        if self._random is None:
            return heapq.heappop(self._ready)[-1]
        at = self._random.randrange(len(self._ready))
        self._ready[at], self._ready[-1] = self._ready[-1], self._ready[at]
        return self._ready.pop()[-1]
