"""One try of one stage, while it is under way.

Owns: `Attempt`, its facts and the one outcome it may have, now or later. Must not: run the stage.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from typing import Any

from engine.workflow.outcome import Outcome


class Deferral:
    """An outcome that comes later than the call of the stage, maybe from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled = False
        self._then: Callable[[], None] | None = None

    def then(self, act: Callable[[], None]) -> None:
        """Do this once the outcome is known; at once if it is."""
        with self._lock:
            if not self._settled:
                self._then = act
                return
        act()

    def settled(self) -> None:
        """The outcome is known."""
        with self._lock:
            self._settled = True
            act = self._then
        if act is not None:
            act()


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
        unread: (join, members) whose results make up the payload and are still to be read.
        token: the delivery's fencing token.
        pipeline: name of the pipeline; the stage's own name for a single stage.
        trace: W3C traceparent the work belongs to, if sampled.
        enqueued_at_ms: when the message became visible first.
        wait_ms: how long it waited to be fetched.
        log: the last lines that the stage has logged, of those it logged with its context.
        outcome: how it ended; the first one set stays.
        deferral: set where the outcome does not come with the call.
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
    deferral: Deferral | None = None
    unread: tuple[str, int] | None = None

    def settle(self, outcome: Outcome) -> bool:
        """Set the outcome if there is none yet; say whether this one counts."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        if self.deferral is not None:
            self.deferral.settled()
        return True
