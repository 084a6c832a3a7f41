"""The child's end of a supervisor's lifeline: says that it is ready, ends with the supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading

VARIABLE = "_CALLBOARD_LIFELINE"
"""Holds the number of an inherited socket. Not a setting: it has no meaning beyond one child."""


def ready(*, master: bool = False) -> None:
    """Tells the supervisor, if there is one, that this process works from now on.

    Args:
        master: This process is a worker of a Dramatiq master; if the supervisor goes, the master is
            told to stop, which then stops this process in order.
    """
    number = os.environ.get(VARIABLE)
    if not number:
        return
    try:
        line = socket.socket(fileno=int(number))
        line.send(b"r")
    except (OSError, ValueError):
        return  # inherited by name only: a shell or a test below a supervised process
    whom = os.getppid() if master else os.getpid()
    threading.Thread(
        target=_watch, args=(line, whom), name="callboard-lifeline", daemon=True
    ).start()


def _watch(line: socket.socket, whom: int) -> None:
    with contextlib.suppress(OSError):
        while line.recv(64):
            pass
    # With the master gone too, its number may be somebody else's by now.
    if whom in (os.getpid(), os.getppid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(whom, signal.SIGTERM)
