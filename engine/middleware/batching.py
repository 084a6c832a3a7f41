"""Batching: what a process has gathered goes out before its worker stops."""

from __future__ import annotations

from collections.abc import Callable

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware


class Batching(Middleware):
    """Opens the batches when a worker boots and closes them when it stops."""

    def __init__(self, opened: Callable[[], None], closed: Callable[[], None]) -> None:
        self._opened, self._closed = opened, closed

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._opened()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._closed()
