"""All duties, and giving an engine their stages.

Owns: the list. Must not: do anything at import; a process that serves the queue `maintenance` calls
`register` once it has its engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.maintenance import prune_runs, purge_letters, sample_queues
from engine.maintenance.duty import Duty, Maintained, Report
from engine.workflow.stage import Stage

DUTIES: tuple[Duty, ...] = (prune_runs.DUTY, purge_letters.DUTY, sample_queues.DUTY)


def register(
    engine: Maintained, duties: Sequence[Duty] = DUTIES
) -> dict[str, Stage[[int], Report]]:
    """Gives an engine the stages of the duties, and returns them by the duty's name.

    Workers of the engine then do the duties; calling it again changes nothing.
    """
    stages = {duty.name: duty.stage(engine) for duty in duties}
    for stage in stages.values():
        engine.definitions.add_stage(stage)
        engine.bind(stage)
    return stages
