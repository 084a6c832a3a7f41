"""The duty that forgets dead letters past their retention, 30 days by default.

Owns: how old a letter may grow. Must not: forget a letter by number: people still have to look.
"""

from __future__ import annotations

from engine.maintenance.duty import Duty, Maintained, Report


def perform(engine: Maintained) -> Report:
    """Purges each queue by its own policy; no letter outlives the run it could go back to."""
    now_ms = engine.store.queues.now_ms()
    purged = 0
    for queue in engine.store.queues.names():
        of_queue_ms = engine.settings.policy(queue).retention.dead_age_ms
        kept_ms = min(of_queue_ms, engine.settings.dead_retention_ms)
        purged += engine.store.letters.purge(queue, before_ms=now_ms - kept_ms)
    return {"purged": purged}


DUTY = Duty("purge-letters", period_ms=600_000, perform=perform)
