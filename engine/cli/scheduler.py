"""`callboard scheduler`: the process whose duties keep the store small and watched."""

from __future__ import annotations

from importlib import import_module

from engine.bootstrap import build
from engine.cli.installation import settings_here
from engine.control import lifeline
from engine.telemetry.logs import setup_logs
from engine.telemetry.wiring import wire


def scheduler() -> None:
    """Run the scheduler. Any number may run: one leads, the others wait for its lease to lapse."""
    settings = settings_here()
    engine = build(settings)
    setup_logs(settings.log_level, settings.shown_log_format)
    if wire("callboard-scheduler", settings) is not None:
        engine.instruments.wire()
    duties = import_module("engine.maintenance.scheduler")  # APScheduler is loaded here alone
    lifeline.ready()
    duties.run(engine)
