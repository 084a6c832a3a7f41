"""One process that a supervisor started: its process group, its lifeline, its end.

The lifeline is a socket pair. The child says over it that it is ready; when the supervisor is gone,
even by `kill -9`, the child reads the end of the stream and stops: see `engine.control.lifeline`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.control.lifeline import VARIABLE


class Program(NamedTuple):
    """What to start. `environ` is added to the supervisor's own environment."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = {}
    memory_growth_mb: int | None = None
    says_ready: bool = True


class Child:
    """A running process in a session, and so a process group, of its own.

    Ctrl-C at the terminal reaches the supervisor alone; a stubborn child ends with all it started.
    """

    def __init__(self, program: Program) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.program = program
        self.line = ours
        self.ready = False
        self.cut = False
        self.started_at = time.monotonic()
        self.stop_by: float | None = None
        try:
            self._process = subprocess.Popen(
                program.command,
                env={**os.environ, **program.environ, VARIABLE: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Its process id, and its group's."""
        return self._process.pid

    @property
    def lived_ms(self) -> int:
        """How long ago it was started."""
        return int((time.monotonic() - self.started_at) * 1000)

    def exit_code(self) -> int | None:
        """None while it lives; below 0 for a signal."""
        return self._process.poll()

    def listen(self) -> bool:
        """Reads the lifeline; True if the child has just become ready."""
        try:
            said = self.line.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        self.cut = not said
        fresh = bool(said) and not self.ready
        self.ready = self.ready or fresh
        return fresh

    def stop(self, within_ms: int) -> None:
        """Asks it to end in order; `enforce` kills it if it has not after `within_ms`."""
        if self.stop_by is None:
            self.stop_by = time.monotonic() + within_ms / 1000
            self._signal(signal.SIGTERM, group=False)

    def enforce(self) -> bool:
        """Kills the whole group if its time is over; True if that was needed."""
        if self.stop_by is None or time.monotonic() < self.stop_by or self.exit_code() is not None:
            return False
        self._signal(signal.SIGKILL, group=True)
        self.stop_by = None  # once; that it has died may show a moment later
        return True

    def bury(self) -> None:
        """Lets go of a dead child. What its group still holds of a foreign program is told to end.

        Workers of ours notice a dead master by themselves and drain; a second SIGTERM would make
        them drop what they do.
        """
        if not self.program.says_ready:
            self._signal(signal.SIGTERM, group=True)
        self.line.close()

    def memory_mb(self) -> float | None:
        """Resident memory of its children, the workers; None where the system does not tell."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return sum(_resident_mb(pid) for pid in children.split())
        except OSError:
            return None

    def _signal(self, sign: signal.Signals, *, group: bool) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(self.pid, sign)
            elif self.exit_code() is None:
                os.kill(self.pid, sign)


def _resident_mb(pid: str) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576
    except OSError:
        return 0.0
