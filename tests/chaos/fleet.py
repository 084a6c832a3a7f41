"""Worker processes of a chaos test, and the test's own engine to send and to look at the store.

Owns: starting `dramatiq` commands and killing their processes. It kills only what it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from engine import Settings
from engine.bootstrap import Engine, build
from engine.store.store import connect
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.history import History
from tests.chaos.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
READY = b"Worker process is ready for action"


class Fleet:
    """Starts and ends workers of one namespace.

    Args:
        url: Where the workers connect.
        shifted: Use the scripts whose clock a test can move.
        grace_ms: How long messages of unknown stages are offered.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        scratch: Path,
        *,
        shifted: bool = False,
        grace_ms: int = 60_000,
    ) -> None:
        self.scratch = scratch
        self.ledger = Ledger(scratch / "ledger")
        os.environ["CHAOS_LEDGER"] = str(self.ledger.path)  # also for workers in this process
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CHAOS_URL": url,
            "CHAOS_NAMESPACE": namespace,
            **({"CHAOS_SHIFTED": "1"} if shifted else {}),
        }
        store = connect(url, namespace=namespace, shifted_clock=True) if shifted else None
        settings = Settings(
            redis_url=url,
            namespace=namespace,
            tracing_sample_ratio=0.0,
            unknown_stage_grace_ms=grace_ms,
            queues={workload.QUEUE: {"max_stalls": workload.FORGIVEN}},
        )
        self.engine: Engine = build(settings, store=store)
        self.plain = workload.plain_actors(self.engine.broker)
        self.history = History(self.engine, self.ledger)
        self._started: list[subprocess.Popen[bytes]] = []

    # -- processes

    def start(
        self, *, processes: int = 1, threads: int = 4, ready: bool = True, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a `dramatiq` command; by default wait until its workers are ready."""
        log = self.scratch / f"worker-{len(self._started)}.log"
        command = [sys.executable, "-m", "dramatiq", "tests.chaos.app"]
        command += ["-p", str(processes), "-t", str(threads)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**self.environment, **environment},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        if ready:
            self.wait_ready(process, processes)
        return process

    def wait_ready(self, process: subprocess.Popen[bytes], processes: int = 1) -> None:
        """Wait until the workers of a command are up."""
        log = self.scratch / f"worker-{self._started.index(process)}.log"

        def up() -> bool:
            assert process.poll() is None, f"the worker ended:\n{log.read_text()[-3000:]}"
            return log.read_bytes().count(READY) >= processes

        eventually(up, 30, "workers are ready")

    def log(self) -> str:
        """Give what all workers wrote."""
        return "\n".join(
            path.read_text(errors="replace") for path in sorted(self.scratch.glob("worker-*.log"))
        )

    def kill_workers(self, master: subprocess.Popen[bytes]) -> list[int]:
        """kill -9 the worker processes of a command, not its master."""
        children = self.worker_pids(master)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return children

    def worker_pids(self, master: subprocess.Popen[bytes]) -> list[int]:
        """The worker processes of a command; none once it has ended."""
        with suppress(FileNotFoundError):
            children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text()
            return [int(pid) for pid in children.split()]
        return []

    def kill_master(self, master: subprocess.Popen[bytes]) -> None:
        """kill -9 the master alone; its workers have to notice."""
        master.kill()
        master.wait(10)

    def kill_all(self, master: subprocess.Popen[bytes]) -> None:
        """kill -9 master and workers at once."""
        with suppress(ProcessLookupError):
            os.killpg(master.pid, signal.SIGKILL)
        master.wait(10)

    def stop(self, master: subprocess.Popen[bytes], within: float = 30) -> int:
        """Ask a command to stop (SIGTERM) and give its exit code."""
        master.terminate()
        return master.wait(within)

    def gone(self, master: subprocess.Popen[bytes]) -> bool:
        """True when no process of the command's session is left."""
        try:
            os.killpg(master.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def close(self) -> None:
        """End whatever is left."""
        for process in self._started:
            self.kill_all(process)
        self.engine.close()
