"""One try of one stage, while it is under way.

Owns: `Attempt`, its facts and the one outcome it may have. Must not: run the stage.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Any

from engine.workflow.outcome import Outcome


@dataclass(slots=True)
class Attempt:
    """What a worker knows about the attempt in its hands.

    Attributes:
        run_id: 32 hex digits.
        tenant: for whom.
        plan_hash: the plan the run started on.
        stage: name of the stage.
        position: where in the plan, such as "3" or "3.7".
        queue: where the message came from.
        number: 1 for the first try.
        payload: the stage's input, JSON.
        token: the delivery's fencing token.
        pipeline: name of the pipeline; the stage's own name for a single stage.
        trace: W3C traceparent the work belongs to, if sampled.
        enqueued_at_ms: when the message became visible first.
        wait_ms: how long it waited to be fetched.
        log: the last lines that the stage has logged, of those it logged with its context.
        outcome: how it ended; the first one set stays.
    """

    run_id: str
    tenant: str
    plan_hash: str
    stage: str
    position: str
    queue: str
    number: int
    payload: bytes
    token: int
    pipeline: str = ""
    trace: str | None = None
    enqueued_at_ms: int = 0
    wait_ms: int = 0
    log: MutableSequence[Any] | None = None
    outcome: Outcome | None = None

    def settle(self, outcome: Outcome) -> bool:
        """Set the outcome if there is none yet; say whether this one counts."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        return True
