"""The duty that takes ended runs past their retention out of the index of runs.

Owns: how often. Must not: end or forget a run: its record goes by itself when its retention is
over, and the entry in the index is what remains.
"""

from __future__ import annotations

from engine.maintenance.duty import Duty, Maintained, Report

CANCELLED_KEPT_MS = 30 * 86_400_000


def perform(engine: Maintained) -> Report:
    """Looks through the whole index, a slice a call."""
    now_ms = engine.store.queues.now_ms()
    looked_at, pruned = engine.store.runs.prune(
        started_before_ms=now_ms, cancelled_before_ms=now_ms - CANCELLED_KEPT_MS
    )
    return {"looked_at": looked_at, "pruned": pruned}


DUTY = Duty("prune-runs", period_ms=300_000, perform=perform)
