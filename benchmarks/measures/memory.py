"""Redis memory of one queued run with a payload of 200 bytes: the slope between 10,000 and 100,000.

The event stream is taken off (MEMORY USAGE of every stream): it is bounded by itself and not per
run.
"""

from __future__ import annotations

from benchmarks.machine import Bench, send
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "memory of a queued run"
PEERS = ("stock", "callboard")
ROWS = {"bytes /queued run": Row(more_is_better=False, at_most=1536)}
ONCE = True  # it does not vary between rounds
PAYLOAD_BYTES = 200


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Queue up to two sizes with no worker and compare."""
    low, high = (2_000, 12_000) if quick else (10_000, 100_000)
    send(bench, peer, "enqueue_kept", count=low, payload_bytes=PAYLOAD_BYTES)
    before = _bytes_used(bench)
    send(bench, peer, "enqueue_kept", count=high - low, payload_bytes=PAYLOAD_BYTES)
    return {"bytes /queued run": (_bytes_used(bench) - before) / (high - low)}


def _bytes_used(bench: Bench) -> int:
    with bench.server.client() as client:
        streams = sum(
            int(client.memory_usage(key, samples=0) or 0)  # type: ignore[arg-type]
            for key in client.scan_iter(count=10_000, _type="stream")
        )
        return int(client.info("memory")["used_memory"]) - streams  # type: ignore[index]
