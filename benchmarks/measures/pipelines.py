"""Five-stage pipelines, queued beforehand: stages a second, and what a hop costs."""

from __future__ import annotations

from benchmarks.drained import COST_ROWS, drain
from benchmarks.machine import Bench
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "five-stage pipelines"
PEERS = ("stock", "tuned", "actors", "callboard", "traced")
ROWS = {"pipelines, stages /s": Row(at_least=5), **COST_ROWS}
PINNED = True
STAGES = 5


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Drain one filled queue."""
    count = (400 if quick else 2_000) * peer.load
    result = drain(bench, peer, "enqueue_pipelines", count, hops=count * STAGES)
    return {"pipelines, stages /s": result.pop("rate"), **result}
