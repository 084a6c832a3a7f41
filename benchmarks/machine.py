"""Processes of a benchmark: the worker under test, the sender, and what they cost.

Owns: starting a real `dramatiq` worker and a sender process of a peer, reading their CPU time from
/proc, and ending them by process id. Must not: know what is measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.marks import VARIABLE
from benchmarks.peers import Peer
from tests.servers import ThrowawayServer

ROOT = Path(__file__).resolve().parents[1]
TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where one run happens: a fresh server, a scratch directory and a choice of cores.

    Attributes:
        server: Started for this run alone.
        scratch: Directory for marks and logs; it goes when the run ends.
        cores: The cores the worker may use; None leaves the choice to the kernel.
    """

    server: ThrowawayServer
    scratch: Path
    cores: frozenset[int] | None = None

    @property
    def marks_path(self) -> Path:
        """The file of timestamps."""
        return self.scratch / "marks"

    def environment(self, peer: Peer) -> dict[str, str]:
        """Give the environment for a process of `peer`; all share the address and the marks."""
        return {
            **os.environ,
            **peer.environment,
            "REDIS_URL": self.server.url,
            VARIABLE: str(self.marks_path),
            "PYTHONPATH": str(ROOT),
        }


def send(bench: Bench, peer: Peer, verb: str, timeout_s: float = 600, **arguments: Any) -> Any:
    """Call function `verb` of the peer's workload in a process of its own; give what it returns.

    Raises:
        RuntimeError: The process failed; the end of its output is in the message.
    """
    command = [sys.executable, "-m", "benchmarks.sender", peer.workload, verb]
    done = subprocess.run(
        [*command, json.dumps(arguments)],
        env=bench.environment(peer),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{peer.name}: {verb} failed\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


class WorkerProcess:
    """One `dramatiq` command with one worker process, its log in a file.

    As a context manager it is started on entry and ended (SIGTERM, then SIGKILL) on exit.
    """

    def __init__(self, bench: Bench, peer: Peer) -> None:
        self._bench = bench
        self._peer = peer
        self._log = bench.scratch / "worker.log"
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        peer = self._peer
        command = [sys.executable, "-m", "dramatiq", "-p", "1", "-t", str(peer.threads)]
        with self._log.open("wb") as log:
            self._master = subprocess.Popen(
                [*command, peer.workload],
                env=self._bench.environment(peer),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if self._bench.cores:  # long before it forks its worker, which inherits this
            os.sched_setaffinity(self._master.pid, self._bench.cores)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"--- end of the {self._peer.name} worker's log\n{self.log_tail()}")
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The master and every process below it that lives now."""
        assert self._master is not None
        return [self._master.pid, *_descendants(self._master.pid)]

    def stop(self, timeout_s: float = 15) -> None:
        """End it: SIGTERM to the master, and SIGKILL to whatever is left after the timeout."""
        assert self._master is not None
        pids = self.pids
        self._master.send_signal(signal.SIGTERM)
        try:
            self._master.wait(timeout_s)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._master.wait(5)

    def cpu_s(self) -> float:
        """Give the CPU seconds that master and workers have used so far."""
        return sum(_cpu_s(pid) for pid in self.pids)

    def log_tail(self, lines: int = 30) -> str:
        """Give the end of the worker's log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def wait_until(self, reached: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait, looking every 20 ms; raises TimeoutError, or RuntimeError if the worker ended."""
        assert self._master is not None
        deadline = time.monotonic() + timeout_s
        while not reached():
            if self._master.poll() is not None:
                raise RuntimeError(f"worker of {self._peer.name} ended early\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._peer.name}: {what} not within {timeout_s} s")
            time.sleep(0.02)


def _stat_fields(pid: int) -> list[str]:
    # After the command's name, which is in brackets and may hold blanks; field 0 here is the state.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    try:
        fields = _stat_fields(pid)
    except OSError:  # ended since it was listed
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat_fields(int(entry.name))[1]), []).append(
                    int(entry.name)
                )
    found, left = [], [pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found
