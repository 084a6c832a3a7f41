"""Callboard as in `callboard`, with every run traced."""

from __future__ import annotations

from benchmarks.peers import Peer
from benchmarks.peers.callboard import MISSING

PEER = Peer(
    name="traced",
    workload="benchmarks.workloads.callboard",
    environment={"CALLBOARD_TRACING_SAMPLE_RATIO": "1.0"},
    load=5,
    missing=MISSING,
)
