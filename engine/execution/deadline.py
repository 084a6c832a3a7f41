"""Deadlines: interrupts the thread of an attempt that runs longer than its stage may.

One watcher thread a process sleeps until the nearest deadline. Python code is interrupted at its
next bytecode, so within milliseconds; code that blocks in C is interrupted when it comes back.

A strike can hit the very code that closes a block. So the worker's side holds no lock that could
stay behind: it changes shared state by single calls of C only, which happen whole or not at all.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar

from dramatiq.threading import Interrupt

P = ParamSpec("P")
T = TypeVar("T")

_SetAsyncExc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_LONGEST_SLEEP_S = 3_600.0


class Struck(Interrupt):
    """Raised in the thread whose deadline has come; the runner turns it into `DeadlineExceeded`."""


class Deadlines:
    """The deadlines of the attempts that run in this process."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._watcher: _Watcher | None = None

    @property
    def armed(self) -> int:
        """How many blocks the watcher may still strike."""
        return len(self._watcher.armed) if self._watcher else 0

    def within(self, timeout_ms: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Gives what `work` returns.

        Raises:
            Struck: It lasted longer. Raised at most once, and never after this call.
        """
        watcher = self._watcher
        if watcher is None or watcher.pid != os.getpid():
            watcher = self._start_watching()
        block = _Block(threading.get_ident(), time.monotonic() + timeout_ms / 1000)
        try:
            watcher.arm(block)
            value = work(*args, **kwargs)
        finally:
            # The first call here, and on every way out: an interrupt can come only after it.
            block.gate.acquire()
            watcher.armed.discard(block)
            if block.struck:
                _SetAsyncExc(ctypes.c_ulong(block.thread), None)  # what was not yet delivered
        if block.struck:  # it came too late to interrupt, or was swallowed
            raise Struck
        return value

    def _start_watching(self) -> _Watcher:
        with self._starting:
            watcher = self._watcher
            if watcher is None or watcher.pid != os.getpid():  # a fork keeps no threads
                watcher = _Watcher()
                threading.Thread(
                    target=watcher.watch, name="callboard-deadlines", daemon=True
                ).start()
                self._watcher = watcher
            return watcher


class _Block:
    """One call of `within`.

    Attributes:
        thread: Who is struck.
        at: When, in monotonic seconds.
        gate: The watcher passes it for the length of a strike. The thread shuts it for good when
            its block ends: one call of C that waits out a strike under way and forbids later ones.
        struck: Whether it was.
    """

    __slots__ = ("at", "gate", "struck", "thread")

    def __init__(self, thread: int, at: float) -> None:
        self.thread, self.at = thread, at
        self.gate = threading.Lock()
        self.struck = False

    def strike(self) -> None:
        if self.gate.acquire(blocking=False):
            self.struck = True
            _SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(Struck))
            self.gate.release()


class _Watcher:
    """What one process's watcher thread and the threads it watches share."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.armed: set[_Block] = set()
        self._asleep_until = float("inf")
        self._calls: SimpleQueue[None] = SimpleQueue()

    def arm(self, block: _Block) -> None:
        self.armed.add(block)
        if block.at < self._asleep_until:
            self._calls.put(None)

    def watch(self) -> None:
        while True:
            # Whoever arms from here on calls, unless the sleep that is decided below suits.
            self._asleep_until = float("inf")
            nearest = self._strike_due(time.monotonic())
            self._asleep_until = nearest
            self._sleep(nearest - time.monotonic())

    def _strike_due(self, now: float) -> float:
        """Strikes every block that is over its time; gives when the next one will be."""
        nearest = now + _LONGEST_SLEEP_S
        for block in self.armed.copy():
            if block.at <= now:
                self.armed.discard(block)
                block.strike()
            else:
                nearest = min(nearest, block.at)
        return nearest

    def _sleep(self, seconds: float) -> None:
        with suppress(Empty):
            self._calls.get(timeout=max(seconds, 0.0))
            while True:  # one look answers all calls so far
                self._calls.get_nowait()
