"""Analytics: what a tenant used is counted, once a run.

Owns: what is counted. Must not: keep numbers; they are the engine's usage totals, by month.
"""

from __future__ import annotations

from actors.deliveries import Notice
from engine import Context, Retry, stage
from engine.integrations.usage import count

QUEUE = "analytics-events"


@stage(queue=QUEUE, retry=Retry(attempts=3, base="60s"), timeout="30s")
def record(notice: Notice, ctx: Context) -> dict[str, int]:
    """Adds the delivery to its tenant's month; delivered twice, it is counted once."""
    used = {"deliveries": 1, f"deliveries.{notice.family}": 1}
    if notice.facts:
        used["lookups"] = 1
    return count(ctx, used)
