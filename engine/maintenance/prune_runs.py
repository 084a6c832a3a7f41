"""The duty that keeps no more ended runs than their queues say, and no entry of what is gone.

Owns: how often. Must not: forget a run by its age: its record goes by itself when its retention is
over, and the entry in the index is what remains.
"""

from __future__ import annotations

from engine.maintenance.duty import Duty, Maintained, Report
from engine.maintenance.forget_runs import forget_beyond

CANCELLED_KEPT_MS = 30 * 86_400_000


def perform(engine: Maintained) -> Report:
    """Looks through the whole index, a slice a call."""
    now_ms = engine.store.queues.now_ms()
    forgotten = forget_beyond(engine, now_ms)
    looked_at, pruned = engine.store.runs.prune(
        started_before_ms=now_ms, cancelled_before_ms=now_ms - CANCELLED_KEPT_MS
    )
    return {"looked_at": looked_at, "pruned": pruned, "forgotten": forgotten}


DUTY = Duty("prune-runs", period_ms=300_000, perform=perform)
