"""What `up` left standing in a data directory: one file that says who, locked while it lives.

The kernel frees the lock with the process, so a number that is somebody else's by now gets
no signal.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import CallboardError
from engine.store.data_directory import eventually, private

_NAME = "up.json"


class AlreadyUp(CallboardError):
    """Another `up` runs in this data directory; nothing was started."""

    code = "already_up"

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.data_dir, self.pid = str(data_dir), pid
        super().__init__(
            f"Callboard is up already in {data_dir} (process {pid}). Run `callboard down` first, "
            "or set another CALLBOARD_DATA_DIR."
        )


@contextlib.contextmanager
def standing(data_dir: Path) -> Iterator[None]:
    """Says for the length of a block that this process is up; raises AlreadyUp."""
    path = private(data_dir.absolute(), strict=False) / _NAME
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp(data_dir, _told(path).get("pid")) from None
        os.ftruncate(file, 0)
        os.write(file, json.dumps({"pid": os.getpid()}).encode())
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def who_stands(data_dir: Path) -> int | None:
    """Returns the process id of the `up` that runs in a data directory, or None."""
    path = data_dir.absolute() / _NAME
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(path).get("pid")
    finally:
        os.close(file)
    return None


def bring_down(data_dir: Path, *, within_ms: int) -> int | None:
    """Asks the `up` of a data directory to drain and end, and waits for it.

    Returns:
        Its process id; None if there was none.

    Raises:
        StillUp: It has not ended in time; it goes on draining.
    """
    pid = who_stands(data_dir)
    if pid is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not eventually(lambda: who_stands(data_dir) is None, within_ms):
        raise StillUp(pid, within_ms)
    return pid


class StillUp(CallboardError):
    """`up` was asked to end and has not ended in time."""

    code = "still_up"

    def __init__(self, pid: int, waited_ms: int) -> None:
        self.pid, self.waited_ms = pid, waited_ms
        super().__init__(
            f"Process {pid} has not ended within {waited_ms} ms: its work still drains. Run "
            "`callboard down` again to wait on, or Ctrl-C it twice to give up what it does."
        )


def _told(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
