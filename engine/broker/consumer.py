"""Dramatiq's consumer of one queue: hands out what the pump has fetched, takes back what has ended.

It never raises for connection or decode errors: the pump heals them.
"""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dramatiq.broker import Consumer, MessageProxy

from engine.broker.handed import Handed

if TYPE_CHECKING:
    from engine.broker.pump import Pump


class QueueConsumer(Consumer):
    """One queue's end of the pump.

    Args:
        timeout_ms: How long `__next__` blocks before it returns None.
    """

    def __init__(self, pump: Pump, queue: str, timeout_ms: int) -> None:
        self.pump = pump
        self.queue = queue
        self._timeout = timeout_ms / 1000
        self._ready: SimpleQueue[Handed] = SimpleQueue()
        pump.attach(self)

    def offer(self, handed: Handed) -> None:
        """Called by the pump with a delivery, where no worker's table takes it."""
        self._ready.put(handed)

    def __next__(self) -> MessageProxy | None:
        try:
            return self._ready.get(timeout=self._timeout)
        except Empty:
            return None

    def ack(self, message: MessageProxy) -> None:
        # A message that no lease stands behind has nothing to be settled.
        if isinstance(message, Handed):
            self.pump.finish(message)

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        for message in messages:
            if isinstance(message, Handed):
                self.pump.release(message)

    def close(self) -> None:
        self.pump.detach(self)
        while True:
            try:
                self.pump.release(self._ready.get_nowait())
            except Empty:
                return
