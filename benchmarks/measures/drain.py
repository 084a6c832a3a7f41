"""No-op messages, queued beforehand: messages a second, and what one costs."""

from __future__ import annotations

from benchmarks.drained import COST_ROWS, drain
from benchmarks.machine import Bench
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "drain of no-ops"
PEERS = ("stock", "tuned", "callboard", "actors")
ROWS = {"no-op drain /s": Row(at_least=5), **COST_ROWS}
PINNED = True


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Drain one filled queue."""
    count = (2_000 if quick else 10_000) * peer.load
    result = drain(bench, peer, "enqueue_noops", count, hops=count)
    return {"no-op drain /s": result.pop("rate"), **result}
