"""A scheduler process for the tests: quick duties that do nothing, a short lease.

python -m tests.integration.maintenance.scheduler_app URL NAMESPACE LEASE_MS
"""

from __future__ import annotations

import sys

from engine import Settings, build
from engine.maintenance.duty import Duty

PERIODS_MS = {"every-two": 2_000, "every-three": 3_000}


def quick_duties() -> list[Duty]:
    return [Duty(name, period, lambda _engine: {}) for name, period in PERIODS_MS.items()]


if __name__ == "__main__":
    from engine.maintenance import scheduler
    from engine.telemetry.logs import setup_logs

    url, namespace, lease_ms = sys.argv[1:]
    setup_logs()
    engine = build(Settings(redis_url=url, namespace=namespace, tracing_sample_ratio=0.0))
    scheduler.run(engine, duties=quick_duties(), lease_ms=int(lease_ms))
    engine.close()
