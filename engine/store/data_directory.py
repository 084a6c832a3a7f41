"""The directory of an embedded server: who may enter, who lives in it, where it listens.

Owns: the layout (`data/`, `run/`, `server.log`), the two locks and the address file. Must not:
start, end or speak to a server.

The server inherits `run/alive.lock` from its starter and holds it until its last breath, so the
kernel says whether it lives, even after `kill -9`, and no second server can open the same data.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from engine.errors import StoreError

_MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 104 on macOS and 108 on Linux
_MAX_LOG_BYTES = 5_000_000
_POLL_S = 0.01


class EmbeddedServerError(StoreError):
    """The embedded server did not start or end; the message ends with the tail of its log."""

    code = "embedded_server"


class DataDirectory:
    """The files of one embedded server. Making this object touches nothing."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        self.data = self.path / "data"
        self.log = self.path / "server.log"
        self._run = self.path / "run"
        self._alive = self._run / "alive.lock"
        self._address = self._run / "address.json"

    def prepare(self) -> None:
        """Make what is missing, private to this user.

        Raises:
            EmbeddedServerError: It cannot be made, or is another user's.
        """
        private(self.path, strict=False)
        private(self._run)
        private(self.data)

    @property
    def exists(self) -> bool:
        """True once a server was started in it."""
        return self._run.is_dir()

    # -- locks

    def is_alive(self) -> bool:
        """Say whether a server holds the data (looks with a shared lock: looks do not collide)."""
        try:
            lock = os.open(self._alive, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _take(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def claimed(self, timeout_ms: int) -> Iterator[int]:
        """Hold the lock of the living for a server about to start; yields what it inherits."""
        with self._locked(
            self._alive, timeout_ms, "the server before still holds the data"
        ) as lock:
            yield lock

    @contextlib.contextmanager
    def one_at_a_time(self, timeout_ms: int) -> Iterator[None]:
        """Of two that start or stop the server, let the second wait for the first."""
        who = "another process is still starting or stopping it"
        with self._locked(self._run / "start.lock", timeout_ms, who):
            yield

    @contextlib.contextmanager
    def _locked(self, path: Path, timeout_ms: int, otherwise: str) -> Iterator[int]:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not eventually(lambda: _take(lock, fcntl.LOCK_EX), timeout_ms):
                raise EmbeddedServerError(f"Embedded server of {self.path}: {otherwise}.")
            yield lock
        finally:
            os.close(lock)

    # -- where the server listens

    def socket(self) -> Path:
        """Give the socket the server has, or would get: a short path where `run/` is too deep."""
        known = self.address().get("socket")
        path = Path(known) if known else self._run / "server.sock"
        if known or len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        return _short_directory(self.path) / "server.sock"

    def address(self) -> dict[str, Any]:
        """Give `pid`, `port` and `socket` as last written, or nothing."""
        try:
            return dict(json.loads(self._address.read_text()))
        except (OSError, ValueError):
            return {}

    def write_address(self, *, pid: int, port: int, socket: Path) -> None:
        """Say where the server listens; a reader sees the old file or the new one, never a half."""
        fresh = self._address.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": pid, "port": port, "socket": str(socket)}))
        fresh.replace(self._address)

    def forget_address(self) -> None:
        """Remove the address and the socket of a server that is gone."""
        self.socket().unlink(missing_ok=True)
        self._address.unlink(missing_ok=True)

    def open_log(self) -> IO[bytes]:
        """Open the log for appending, private; a long one moves aside first."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _MAX_LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def log_tail(self, lines: int = 15) -> str:
        """Give the last lines of the server's log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 16_384))
                text = log.read().decode(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def eventually(holds: Callable[[], bool], timeout_ms: int) -> bool:
    """Wait until it holds; False when the time is over."""
    deadline = time.monotonic() + timeout_ms / 1000
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def private(directory: Path, *, strict: bool = True) -> Path:
    """Make a directory of ours; `strict` lets nobody else enter it and allows no link.

    Raises:
        EmbeddedServerError: It cannot be made, is another user's, or is a link.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat() if strict else directory.stat()
    except OSError as error:
        raise EmbeddedServerError(
            f"{directory} cannot be made: {error.strerror}. Set another CALLBOARD_DATA_DIR."
        ) from error
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerError(
            f"{directory} is another user's, or a link. Set another CALLBOARD_DATA_DIR."
        )
    if strict and stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(0o700)
    return directory


def _take(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _short_directory(data_dir: Path) -> Path:
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if len(os.fsencode(runtime)) > 50 or not runtime.is_dir():
        runtime = Path("/tmp")  # noqa: S108 - the directory in it is private and checked
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return private(private(runtime / f"callboard-{os.geteuid()}") / name)
