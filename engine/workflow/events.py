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
    RUN_ANSWERED = "run.answered"
    RUN_UNDOING = "run.undoing"
    RUN_PAUSED = "run.paused"
    RUN_RESUMED = "run.resumed"
    SIGNAL_RECEIVED = "signal.received"
    STAGE_COMPLETED = "stage.completed"
    STAGE_CAUGHT = "stage.caught"
    STAGE_RETRIED = "stage.retried"
    STAGE_DIED = "stage.died"
    MESSAGE_DIED = "message.died"
    MESSAGE_RETURNED = "message.returned"
    CONSUMER_LOST = "consumer.lost"
    LETTER_REDRIVEN = "letter.redriven"
    LETTERS_PURGED = "letters.purged"
    QUEUE_PAUSED = "queue.paused"
    QUEUE_RESUMED = "queue.resumed"
    TENANT_LIMITED = "tenant.limited"


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
