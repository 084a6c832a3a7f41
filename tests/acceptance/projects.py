"""A user's project in a directory of its own, and `callboard` run in it as a person does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from engine.cli.new import write_project

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def eventually(look: Callable[[], T], timeout_s: float = 15.0, what: str = "it") -> T:
    """Look again and again until what is seen is true, and return it."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what} did not come about in {timeout_s} s"
        time.sleep(0.05)
    return seen


class Project:
    """The project that `callboard new` makes, with a store of its own.

    Args:
        directory: Where it is made.
        url: The server; None leaves it to the embedded one in the project's data directory.
    """

    def __init__(self, directory: Path, url: str | None = None) -> None:
        self.directory = directory
        write_project(directory, directory.name)
        self.log = directory / "output.log"
        self.namespace = f"t{uuid4().hex[:10]}"
        taken = ("CALLBOARD_", "REDIS_", "OTEL_", "_CALLBOARD")
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(taken)}
        self.environ |= {"PYTHONPATH": str(ROOT), "CALLBOARD_NAMESPACE": self.namespace}
        # Compiled once for all commands, and not into the source tree.
        self.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environ["PYTHONPYCACHEPREFIX"] = str(
            Path(tempfile.gettempdir()) / "callboard-tests-pycache"
        )
        self.environ |= (
            {"REDIS_URL": url} if url else {"CALLBOARD_DATA_DIR": str(directory / ".callboard")}
        )
        self._started: list[subprocess.Popen[bytes]] = []

    def call(self, *words: str, timeout_s: float = 40.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "engine.cli", *words],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def json(self, *words: str, timeout_s: float = 40.0) -> Any:
        """Run a command with `--json` and return its one document."""
        done = self.call(*words, "--json", timeout_s=timeout_s)
        assert done.stdout, f"{words}: exit {done.returncode}\n{done.stderr}\n{self.told()[-3000:]}"
        return json.loads(done.stdout)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on; its output is in `told()`."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine.cli", *words],
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def told(self) -> str:
        """What the started commands have written so far."""
        return self.log.read_text() if self.log.exists() else ""

    def ready(self, number: int) -> None:
        """Wait until so many processes in all have said that they are ready."""
        eventually(
            lambda: self.told().count(" is ready (pid") >= number,
            30,
            f"{number} ready\n{self.told()}",
        )

    def masters(self) -> list[int]:
        """Process ids of the Dramatiq masters that were started, oldest first."""
        lines = [line for line in self.told().splitlines() if line.startswith("worker ")]
        return [int(line.split("(pid ")[1].split(")")[0]) for line in lines if " is ready" in line]

    def close(self) -> None:
        """End what still runs, however it is."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
            for pid in (process.pid, *self.masters()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            process.wait(5)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lines_of(orders: Sequence[str]) -> str:
    """A file of orders with these ids."""
    return "".join(
        json.dumps({"id": name, "customer": "acme", "items": ["anvil"], "cents": 100}) + "\n"
        for name in orders
    )
