"""An idle system: from before the send to inside the actor, sends 20 ms apart."""

from __future__ import annotations

from statistics import quantiles

from benchmarks.machine import Bench, WorkerProcess, send
from benchmarks.marks import Marks
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "send to effect, idle"
PEERS = ("stock", "tuned", "callboard", "actors")
ROWS = {
    "idle p50 ms": Row(more_is_better=False, at_most=1.5, digits=2),
    "idle p99 ms": Row(more_is_better=False, at_most=5, digits=2),
}
WARM_UP = 20
SPACING_S = 0.02


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Send pings to a worker that has nothing else to do; the first ones warm it up."""
    count = WARM_UP + (100 if quick else 300)
    marks = Marks(bench.marks_path, count)
    with WorkerProcess(bench, peer) as worker:
        send(bench, peer, "enqueue_noops", count=1)
        worker.wait_until(lambda: marks.reached(0), 30, "first message")
        sent = send(bench, peer, "ping", count=count, spacing_s=SPACING_S)
        worker.wait_until(marks.complete, 30, "last message")
    late_ms = [(at - since) / 1e6 for at, since in zip(marks.all(), sent, strict=True)][WARM_UP:]
    cuts = quantiles(late_ms, n=100, method="inclusive")
    return {"idle p50 ms": cuts[49], "idle p99 ms": cuts[98]}
