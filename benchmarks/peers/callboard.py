"""Callboard with everything on: types, idempotency keys, tenants, history, events, 1 % tracing."""

from __future__ import annotations

import importlib.util

from benchmarks.peers import Peer

MISSING = (
    "" if importlib.util.find_spec("engine.bootstrap") else "engine.bootstrap does not exist yet"
)

PEER = Peer(
    name="callboard",
    workload="benchmarks.workloads.callboard",
    environment={"CALLBOARD_TRACING_SAMPLE_RATIO": "0.01"},
    load=5,
    missing=MISSING,
)
