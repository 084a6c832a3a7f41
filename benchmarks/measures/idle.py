"""What an idle worker costs: percent of one core, over ten seconds, master included."""

from __future__ import annotations

import time

from benchmarks.machine import Bench, WorkerProcess, send
from benchmarks.marks import Marks
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "idle worker"
PEERS = ("stock", "tuned", "callboard")
ROWS = {
    "idle worker CPU %": Row(more_is_better=False, at_most=1.0, digits=2),
    "idle server CPU %": Row(more_is_better=False, digits=2),
}
SETTLE_S = 3.0


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Let a worker run one message, settle, and then watch it do nothing."""
    seconds = 4.0 if quick else 10.0
    marks = Marks(bench.marks_path, 1)
    with WorkerProcess(bench, peer) as worker:
        send(bench, peer, "enqueue_noops", count=1)
        worker.wait_until(lambda: marks.reached(0), 30, "first message")
        time.sleep(SETTLE_S)
        worker_s, server_s, began = worker.cpu_s(), bench.server.cpu_s(), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - began
        return {
            "idle worker CPU %": (worker.cpu_s() - worker_s) / passed * 100,
            "idle server CPU %": (bench.server.cpu_s() - server_s) / passed * 100,
        }
