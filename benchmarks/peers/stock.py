"""Stock Dramatiq with its defaults: RedisBroker, 8 threads, its default middleware."""

from __future__ import annotations

from benchmarks.peers import Peer

PEER = Peer(
    name="stock",
    workload="benchmarks.workloads.stock",
    fan_workload="benchmarks.workloads.stock_fan",
)
