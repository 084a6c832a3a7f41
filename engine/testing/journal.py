"""The facts of all runs in the order in which they came about.

Owns: `Journal`. Must not: change a run or draw conclusions.
"""

from __future__ import annotations

from typing import Any

from engine.clock import Clock
from engine.testing.agenda import Message
from engine.testing.ledger import Ledger
from engine.workflow.events import Event


class Journal:
    """Takes down facts, in the shape of the store's events."""

    def __init__(self, clock: Clock) -> None:
        self.events: list[Event] = []
        self._clock = clock

    def tell(
        self,
        ledger: Ledger,
        name: str,
        *,
        stage: str = "",
        position: str = "",
        attempt: int = 0,
        **data: Any,
    ) -> None:
        """Note a fact of a run."""
        self.events.append(
            Event(
                name=name,
                at_ms=self._clock.now_ms(),
                tenant=ledger.tenant,
                run_id=ledger.id,
                stage=stage,
                position=position,
                attempt=attempt,
                data=data,
            )
        )

    def tell_of(self, ledger: Ledger, name: str, message: Message, /, **data: Any) -> None:
        """Note a fact of an attempt."""
        send = message.send
        self.tell(
            ledger,
            name,
            stage=send.stage,
            position=send.position,
            attempt=message.number,
            **data,
        )
