"""Callboard's broker under plain Dramatiq actors: no stages, stock's own workload unchanged."""

from __future__ import annotations

from benchmarks.peers import Peer

PEER = Peer(
    name="actors",
    workload="benchmarks.workloads.stock",
    environment={"BENCH_BROKER": "callboard"},
    load=4,
)
