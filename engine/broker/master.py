"""The master of a forked worker: if it dies, its worker drains and ends.

A worker without a master would serve on unseen, until the log pipe that nobody reads is full.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time

from engine.broker.pump import Pump
from engine.errors import StoreError

_EMPTIED_FOR_S = 5.0
_ENDS_BY_ITSELF_S = 5.0


class Master:
    """Watches the process that started this one; there is none where a worker runs by itself."""

    def __init__(self, pump: Pump) -> None:
        parent = multiprocessing.parent_process()
        # Its id from the start: a master that died while this process booted is gone by now.
        self._pid = (parent.pid or 0) if parent else 0
        self._pump = pump
        self._died_at = 0.0

    def look(self) -> None:
        """Called once a second."""
        if self._pid and os.getppid() != self._pid:
            self._pid = 0
            self._died_at = time.monotonic()
            _leave_log_pipe()  # first: a log line into the full pipe would never return
            self._pump.stop_fetching()
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._died_at and time.monotonic() - self._died_at > _ENDS_BY_ITSELF_S:
            self._end()

    def _end(self) -> None:
        """Ends a process whose main thread waits for its master for ever and hears no signal."""
        if self._pump.holding:
            return
        try:
            self._pump.store.transit.retire(self._pump.consumer)
        except StoreError:
            return
        os._exit(0)


def _leave_log_pipe() -> None:
    """Writes go nowhere from now on, and a thread that hangs in the full pipe is let go.

    A forked worker holds the reading end too, so a pipe that nobody reads does not break: it fills.
    """
    void = os.open(os.devnull, os.O_WRONLY)
    for number in {sys.stdout.fileno(), sys.stderr.fileno()}:
        try:
            reader = os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:  # no pipe, or no /proc: where workers are spawned, the pipe just breaks
            reader = -1
        os.dup2(void, number)
        if reader >= 0:
            threading.Thread(target=_empty, args=(reader,), daemon=True).start()


def _empty(reader: int) -> None:
    until = time.monotonic() + _EMPTIED_FOR_S
    try:
        while time.monotonic() < until and os.read(reader, 65_536):
            pass
    except BlockingIOError:
        pass  # all is read; what was being written goes to the void
    finally:
        os.close(reader)
