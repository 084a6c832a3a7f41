"""The duty that looks how much waits in each queue, and for how long.

Owns: which numbers are sampled. Must not: change a queue.
"""

from __future__ import annotations

from engine.maintenance.duty import Duty, Maintained, Report
from engine.telemetry.logs import stage_log

_log = stage_log("callboard.maintenance")


def perform(engine: Maintained) -> Report:
    """Gives depth and age of each queue to the instruments, and logs the queues that hold work."""
    queues = engine.store.queues
    names, now_ms = queues.names(), queues.now_ms()
    deepest = oldest = 0
    for count in queues.count_many(names) if names else ():
        oldest_ms = queues.oldest_ms(count.queue, now_ms) if count.waiting else 0
        sampled = engine.instruments.sampled
        sampled(count.queue, "waiting", count.waiting, oldest_ms)
        sampled(count.queue, "delayed", count.delayed)
        sampled(count.queue, "running", count.leased)
        sampled(count.queue, "dead", count.dead)
        deepest, oldest = max(deepest, count.waiting), max(oldest, oldest_ms)
        if count.waiting or count.leased:
            _log.info(
                "queue.sampled",
                queue=count.queue,
                waiting=count.waiting,
                delayed=count.delayed,
                running=count.leased,
                oldest_ms=oldest_ms,
            )
    return {"queues": len(names), "deepest": deepest, "oldest_ms": oldest}


DUTY = Duty("sample-queues", period_ms=15_000, perform=perform, timeout_ms=10_000)
