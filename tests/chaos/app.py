"""What worker processes of the chaos tests load: `python -m dramatiq tests.chaos.app`.

Environment: CHAOS_URL, CHAOS_NAMESPACE, CHAOS_LEDGER; CHAOS_SKEW_S moves this host's clock,
CHAOS_SHIFTED takes the test build of the scripts, CHAOS_GRACE_MS is the grace of unknown stages,
CHAOS_SILENCE_MS shortens the silence that is death (10 s) where a short test needs many deaths.
"""

from __future__ import annotations

import os
import time

if _skew := float(os.environ.get("CHAOS_SKEW_S", "0")):
    _true_time, _true_time_ns = time.time, time.time_ns
    time.time = lambda: _true_time() + _skew  # type: ignore[assignment]
    time.time_ns = lambda: _true_time_ns() + int(_skew * 1e9)  # type: ignore[assignment]

from engine import Settings, build
from engine.store.store import connect
from tests.chaos import matrix_stages, workload

_SETTINGS = Settings(
    redis_url=os.environ["CHAOS_URL"],
    namespace=os.environ["CHAOS_NAMESPACE"],
    unknown_stage_grace_ms=int(os.environ.get("CHAOS_GRACE_MS", "60000")),
    tracing_sample_ratio=0.0,
    queues={
        workload.QUEUE: {
            "stall_after_ms": os.environ.get("CHAOS_SILENCE_MS", "10s"),
            "max_stalls": workload.FORGIVEN,  # of the built-in stages
        }
    },
)
_STORE = (
    connect(os.environ["CHAOS_URL"], namespace=os.environ["CHAOS_NAMESPACE"], shifted_clock=True)
    if os.environ.get("CHAOS_SHIFTED")
    else None
)
engine = build(_SETTINGS, store=_STORE)
workload.plain_actors(engine.broker)
assert matrix_stages.DECIDED  # its stages are served too
