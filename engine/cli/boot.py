"""What a worker process of `callboard worker` runs: `dramatiq engine.cli.boot:broker`.

Owns the order: the user's modules first and only then the broker, because a module may build an
engine of its own. The duties of the scheduler are done by workers, so every worker has them.
"""

from __future__ import annotations

from engine import current
from engine.bootstrap import Engine
from engine.cli.modules import handed_down, load
from engine.control import lifeline
from engine.maintenance.duties import register
from engine.telemetry.logs import setup_logs


def broker() -> None:
    """Imports the user's modules; Dramatiq then takes the broker that they, or we, have set."""
    current.get()  # the default engine, so that there is a broker even without a definition
    load(handed_down())
    engine = current.get()
    if isinstance(engine, Engine):
        register(engine)
        setup_logs(engine.settings.log_level, engine.settings.shown_log_format)
    lifeline.ready(master=True)
