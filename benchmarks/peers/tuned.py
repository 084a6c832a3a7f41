"""Stock Dramatiq as a careful user tunes it for short jobs: 2 threads and a prefetch of 128."""

from __future__ import annotations

from benchmarks.peers import Peer

PEER = Peer(
    name="tuned",
    workload="benchmarks.workloads.stock",
    fan_workload="benchmarks.workloads.stock_fan",
    threads=2,
    environment={"dramatiq_queue_prefetch": "128"},
)
