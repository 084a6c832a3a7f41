"""Keeps processes alive: starts them, starts again what dies, rolls them over, stops them in order.

Owns the loop and the decisions. It knows nothing of Dramatiq or Redis: a program is a command. It
wakes when a lifeline speaks or a time falls due, twice a second at the latest.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Sequence

from engine.control.backoff import Backoff
from engine.control.child import Child, Program

_LOOK_S = 0.5
_SETTLE_MS = 1_500
_BOOT_MS = 60_000
_MEMORY_EVERY_S = 10.0

Tell = Callable[[str], None]


class _Place:
    """One program with the process that runs it now and, while rolling, the one that will."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.backoff = Backoff()
        self.child: Child | None = None
        self.successor: Child | None = None
        self.start_at: float | None = 0.0
        self.base_mb: float | None = None


class Supervisor:
    """Runs programs until it is asked to stop.

    Args:
        programs: What to keep alive, one process each.
        tell: Gets one line about everything that happens.
        stop_ms: How long a process may take to end in order before it is killed.
    """

    def __init__(self, programs: Sequence[Program], *, tell: Tell, stop_ms: int = 60_000) -> None:
        self._places = [_Place(program) for program in programs]
        self._tell = tell
        self._stop_ms = stop_ms
        self._retired: list[Child] = []
        self._rolling: list[_Place] = []
        self._stopping = False
        self._roll_asked = False
        self._killed = 0
        self._memory_at = time.monotonic() + _MEMORY_EVERY_S
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    # -- asked from signal handlers and other threads

    def ask_stop(self) -> None:
        """Stops everything in order and ends `serve`; a second time kills what still runs."""
        if self._stopping:
            self._stop_ms = 0
        self._stopping = True
        self._nudge()

    def ask_roll(self) -> None:
        """Replaces every process by a fresh one, one after the other, without a gap."""
        self._roll_asked = True
        self._nudge()

    @property
    def ready(self) -> int:
        """How many processes have said that they work."""
        return sum(1 for place in self._places if place.child and place.child.ready)

    @property
    def pids(self) -> list[int]:
        """Process ids of what runs now."""
        return [place.child.pid for place in self._places if place.child]

    # -- the loop

    def serve(self) -> int:
        """Runs until asked to stop and everything has ended.

        Returns:
            How many processes had to be killed at the end.
        """
        while not (self._stopping and not self._children()):
            if self._stopping:
                self._stop_all()
            else:
                self._start_due()
                self._roll()
                self._watch_memory()
            self._wait()
            self._look_at_all()
        self._selector.close()
        self._wake.close()
        self._woken.close()
        return self._killed

    def _wait(self) -> None:
        now = time.monotonic()
        due = [place.start_at - now for place in self._places if place.start_at is not None]
        for key, _ in self._selector.select(max(0.0, min([_LOOK_S, *due]))):
            if key.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(64)
                continue
            child: Child = key.data
            if child.listen():
                self._tell(f"{child.program.name} is ready (pid {child.pid})")
            if child.cut:
                self._forget_line(child)

    def _look_at_all(self) -> None:
        for place in self._places:
            if place.child and (code := place.child.exit_code()) is not None:
                self._died(place, place.child, code)
        for child in list(self._retired):
            if child.enforce():
                self._killed += 1
                self._tell(
                    f"{child.program.name} did not end in time and was killed (pid {child.pid})"
                )
            if child.exit_code() is not None:
                self._retired.remove(child)
                self._leave(child)

    def _died(self, place: _Place, child: Child, code: int) -> None:
        place.child, place.base_mb = None, None
        self._leave(child)
        if place.successor:
            place.child, place.successor = place.successor, None
            self._rolling = [other for other in self._rolling if other is not place]
            return
        if self._stopping:
            return
        wait_ms = place.backoff.after_death(child.lived_ms)
        place.start_at = time.monotonic() + wait_ms / 1000
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self._tell(
            f"{place.program.name} {how} (pid {child.pid}); starting again in {wait_ms / 1000:g} s"
        )

    # -- starting and rolling

    def _start_due(self) -> None:
        for place in self._places:
            if place.start_at is not None and time.monotonic() >= place.start_at:
                place.start_at = None
                place.child = self._started(place.program)

    def _started(self, program: Program) -> Child:
        child = Child(program)
        self._selector.register(child.line, selectors.EVENT_READ, child)
        return child

    def _roll(self) -> None:
        if self._roll_asked:
            self._roll_asked = False
            self._rolling = [
                place for place in self._places if place not in self._rolling
            ] + self._rolling
            self._tell("replacing the processes one by one")
        if not self._rolling:
            return
        place = self._rolling[0]
        if place.child is None:  # it is being started again anyway
            self._rolling.pop(0)
        elif place.successor is None:
            place.successor = self._started(place.program)
        elif (code := place.successor.exit_code()) is not None:
            self._tell(f"the new {place.program.name} ended with code {code}; the old one goes on")
            self._leave(place.successor)
            place.successor = None
            self._rolling.clear()
        elif _settled(place.successor):
            self._retire(place.child)
            place.child, place.successor, place.base_mb = place.successor, None, None
            self._rolling.pop(0)

    def _watch_memory(self) -> None:
        if time.monotonic() < self._memory_at:
            return
        self._memory_at = time.monotonic() + _MEMORY_EVERY_S
        for place in self._places:
            limit_mb, child = place.program.memory_growth_mb, place.child
            if limit_mb is None or child is None or not child.ready or place in self._rolling:
                continue
            used_mb = child.memory_mb()
            if used_mb is None:
                continue
            place.base_mb = used_mb if place.base_mb is None else place.base_mb
            if used_mb - place.base_mb > limit_mb:
                grown = f"by more than {limit_mb} MB, to {used_mb:.0f}"
                self._tell(f"{place.program.name} grew {grown}: replacing it")
                self._rolling.append(place)

    # -- ending

    def _stop_all(self) -> None:
        for place in self._places:
            for child in (place.child, place.successor):
                if child:
                    self._retire(child)
            place.child = place.successor = None
            place.start_at = None
        for child in self._retired:
            if self._stop_ms == 0:
                child.stop_by = 0.0

    def _retire(self, child: Child) -> None:
        child.stop(self._stop_ms)
        self._retired.append(child)

    def _leave(self, child: Child) -> None:
        self._forget_line(child)
        child.bury()

    def _forget_line(self, child: Child) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(child.line)

    def _children(self) -> list[Child]:
        here = [
            child for place in self._places for child in (place.child, place.successor) if child
        ]
        return [*here, *self._retired]

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"!")


def _settled(child: Child) -> bool:
    """Ready for a while; one that never says so counts as settled when its boot time is over."""
    if not child.program.says_ready or not child.ready:
        return child.lived_ms > (_SETTLE_MS if not child.program.says_ready else _BOOT_MS)
    return child.lived_ms > _SETTLE_MS
