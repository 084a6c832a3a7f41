"""The ear: how an idle pump waits, for work in the store and for a bell in the process at once.

Nobody polls: whatever makes work on an idle queue puts one element on its wake list, and this room
keeps a blocking pop on those lists open while the pump has nothing to do.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Sequence

from engine.errors import StoreError
from engine.store.connection import Link
from engine.store.store import Store

_POPPED_MS = 5_000
_DEAF_S = 1.0  # after trouble with the connection: the pump's own turns heal the process


class Ear:
    """Belongs to the pump's thread, but for `ring`.

    Args:
        store: Where the wake lists are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._link: Link | None = None
        self._listened: Sequence[str] = ()
        self._deaf_until = 0.0
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._rope, False)

    def ring(self) -> None:
        """Ends the wait, or the next one; from any thread."""
        with contextlib.suppress(BlockingIOError):  # it rings already
            os.write(self._rope, b"!")

    def wait(self, timeout_s: float, queues: Sequence[str]) -> bool:
        """Waits for the bell, the time or, if queues are given, for work on them.

        Returns:
            Whether work may have come.
        """
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        listening = bool(queues) and self._listen(queues)
        if listening and self._link is not None:
            poll.register(self._link.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(timeout_s, 0) * 1000)}
        if self._bell in ready:
            os.read(self._bell, 4096)
            ready.discard(self._bell)
        return bool(ready) and self._hear()

    def close(self) -> None:
        """Ends the open pop; the bell stays, others may still ring it."""
        self._hang_up()

    def _listen(self, queues: Sequence[str]) -> bool:
        if self._link is not None and list(queues) == list(self._listened):
            return True
        self._hang_up()
        if time.monotonic() < self._deaf_until:
            return False
        names = [self._store.links.keys.name("wake", queue=queue) for queue in queues]
        link = self._store.links.take()
        try:
            link.begin_pop(names, _POPPED_MS)
        except StoreError:
            self._deaf_until = time.monotonic() + _DEAF_S
            link.close()
            return False
        self._link, self._listened = link, list(queues)
        return True

    def _hear(self) -> bool:
        link, self._link = self._link, None
        if link is None:
            return False
        try:
            heard = link.end_pop()
        except StoreError:
            self._deaf_until = time.monotonic() + _DEAF_S
            link.close()
            return True
        self._store.links.give(link)
        return heard

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
