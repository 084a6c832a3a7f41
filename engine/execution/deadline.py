"""Deadlines: interrupts the thread of an attempt that runs too long, or whose run is cancelled.

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
from typing import Any, TypeVar

from dramatiq.threading import Interrupt

T = TypeVar("T")

_SetAsyncExc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_LONGEST_SLEEP_S = 3_600.0
_NEVER = float("inf")


class Struck(Interrupt):
    """Raised in the thread whose deadline has come; the runner turns it into `DeadlineExceeded`."""


class Stopped(Interrupt):
    """Raised in the thread of an attempt whose run is cancelled; its work is for nothing."""


class Deadlines:
    """The attempts that run in this process, and what may interrupt them."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._watcher: _Watcher | None = None

    @property
    def armed(self) -> int:
        """How many blocks the watcher may still strike."""
        return len(self._watcher.armed) if self._watcher else 0

    def working_for(self, runs: frozenset[str]) -> list[str]:
        """Which of these runs something works for, each once."""
        armed = self._watcher.armed.copy() if self._watcher and runs else ()
        return list({block.run for block in armed} & runs)

    def interrupt(self, runs: frozenset[str]) -> None:
        """Interrupts what works for these runs."""
        if self._watcher and runs:
            for block in self._watcher.armed.copy():
                if block.run in runs:
                    self._watcher.armed.discard(block)
                    block.strike(Stopped)

    def within(
        self, timeout_ms: int | None, work: Callable[..., T], *args: Any, run: str = ""
    ) -> T:
        """Gives what `work` returns.

        Args:
            timeout_ms: None for no limit.
            work: Called with the arguments that follow.
            *args: Of `work`.
            run: For which run it works; "" for none that could be cancelled.

        Raises:
            Struck: It lasted longer.
            Stopped: Its run was cancelled. One of the two at most once, and never after this call.
        """
        watcher = self._watcher
        if watcher is None or watcher.pid != os.getpid():
            watcher = self._start_watching()
        at = _NEVER if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        block = _Block(threading.get_ident(), at, run)
        try:
            watcher.arm(block)
            value = work(*args)
        finally:
            # The first call here, and on every way out: an interrupt can come only after it.
            block.gate.acquire()
            watcher.armed.discard(block)
            if block.struck:
                _SetAsyncExc(ctypes.c_ulong(block.thread), None)  # what was not yet delivered
        if block.struck:  # it came too late to interrupt, or was swallowed
            raise block.struck
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
        run: For whom it works.
        gate: The watcher passes it for the length of a strike. The thread shuts it for good when
            its block ends: one call of C that waits out a strike under way and forbids later ones.
        struck: With what it was, or None.
    """

    __slots__ = ("at", "gate", "run", "struck", "thread")

    def __init__(self, thread: int, at: float, run: str) -> None:
        self.thread, self.at, self.run = thread, at, run
        self.gate = threading.Lock()
        self.struck: type[Interrupt] | None = None

    def strike(self, with_: type[Interrupt]) -> None:
        if self.gate.acquire(blocking=False):
            self.struck = with_
            _SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(with_))
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
                block.strike(Struck)
            else:
                nearest = min(nearest, block.at)
        return nearest

    def _sleep(self, seconds: float) -> None:
        with suppress(Empty):
            self._calls.get(timeout=max(seconds, 0.0))
            while True:  # one look answers all calls so far
                self._calls.get_nowait()
