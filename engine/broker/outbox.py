"""The outbox: what middleware enqueues behind a processed message leaves with its commit.

Stock Retries, Pipelines and Callbacks become atomic by it: either the message is acknowledged and
its successors exist, or neither.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.broker.handed import Handed
from engine.store.entries import Outgoing

_JOINING = ("process_message", "skip_message")


class Outbox:
    """Knows, for each thread, the delivery whose after-hooks are running."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def _open(self, handed: Handed) -> Iterator[None]:
        self._local.handed = handed
        try:
            yield
        finally:
            self._local.handed = None

    def of(self, signal: str, args: tuple[Any, ...]) -> Any:
        """A context in which `take` collects for the delivery of this signal, if it has one."""
        if signal in _JOINING and isinstance(args[0], Handed):
            return self._open(args[0])
        return _NOTHING

    def take(self, outgoing: Outgoing) -> bool:
        """Takes a message into the current delivery's outbox; False if there is none: send it."""
        handed: Handed | None = getattr(self._local, "handed", None)
        if handed is None:
            return False
        handed.outbox.append(outgoing)
        return True

    def refuse(self, error: Exception) -> None:
        """An enqueue of the current delivery failed: the delivery must not be acknowledged."""
        handed: Handed | None = getattr(self._local, "handed", None)
        if handed is not None:
            handed.refused = error


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


_NOTHING = _Nothing()
