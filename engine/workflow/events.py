"""Events: facts in the past tense, told by the same script that made them true.

Owns: their names and shape. Must not: append or read them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class EventName(StrEnum):
    """Every event there is. The name is `subject.past_participle`."""

    RUN_STARTED = "run.started"
    RUN_COMPLETED = "run.completed"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    STAGE_ENQUEUED = "stage.enqueued"
    STAGE_COMPLETED = "stage.completed"
    STAGE_RETRIED = "stage.retried"
    STAGE_SNOOZED = "stage.snoozed"
    STAGE_DIED = "stage.died"
    STAGE_CANCELLED = "stage.cancelled"
    STAGE_STALLED = "stage.stalled"
    LETTER_REDRIVEN = "letter.redriven"
    MESSAGE_QUARANTINED = "message.quarantined"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact.

    Attributes:
        name: an `EventName`, or a newer one this release does not know.
        at_ms: the server's clock, milliseconds since 1970.
        tenant: whose work it is.
        run_id: the run it is about, "" for none.
        stage: name of the stage, if it is about one.
        position: of that stage in the plan.
        attempt: number of the attempt.
        data: further facts of this kind of event; JSON values.
    """

    name: str
    at_ms: int
    tenant: str = ""
    run_id: str = ""
    stage: str = ""
    position: str = ""
    attempt: int = 0
    data: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
