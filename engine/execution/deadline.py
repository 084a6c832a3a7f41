"""Deadlines: interrupts the thread of an attempt that runs longer than its stage may.

One watcher thread a process sleeps until the nearest deadline. Python code is interrupted at its
next bytecode, so within milliseconds; code that blocks in C is interrupted when it comes back.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dramatiq.threading import Interrupt

_SetAsyncExc = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Struck(Interrupt):
    """Raised in the thread whose deadline has come; the runner turns it into `DeadlineExceeded`."""


class Deadlines:
    """The deadlines of the attempts that run in this process."""

    def __init__(self) -> None:
        self._armed: dict[int, float] = {}
        self._struck: set[int] = set()
        self._changed = threading.Condition()
        self._asleep_until = float("inf")
        self._pid = 0

    @contextmanager
    def within(self, timeout_ms: int) -> Iterator[None]:
        """Raises `Struck` in this thread if the block lasts longer."""
        thread = threading.get_ident()
        self._arm(thread, time.monotonic() + timeout_ms / 1000)
        try:
            yield
        finally:
            struck = self._disarm(thread)
        if struck:  # it came too late to interrupt, or was swallowed
            raise Struck

    def _arm(self, thread: int, at: float) -> None:
        with self._changed:
            if self._pid != os.getpid():
                self._start_watching()
            self._struck.discard(thread)
            self._armed[thread] = at
            if at < self._asleep_until:
                self._changed.notify()

    def _disarm(self, thread: int) -> bool:
        with self._changed:
            self._armed.pop(thread, None)
            if thread not in self._struck:
                return False
            self._struck.discard(thread)
            _SetAsyncExc(ctypes.c_ulong(thread), None)  # take back what was not yet delivered
            return True

    def _start_watching(self) -> None:
        self._pid = os.getpid()
        self._armed.clear()
        self._struck.clear()
        threading.Thread(target=self._watch, name="callboard-deadlines", daemon=True).start()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for thread in [thread for thread, at in self._armed.items() if at <= now]:
                    del self._armed[thread]
                    self._struck.add(thread)
                    _SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Struck))
                self._asleep_until = min(self._armed.values(), default=float("inf"))
                pause = self._asleep_until - now
                self._changed.wait(None if pause == float("inf") else max(pause, 0.0))
