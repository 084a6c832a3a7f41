"""A duty: something done for the whole installation, again and again.

Owns: what a duty is and how it becomes a stage. Must not: know any one duty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.broker import RedisBroker
from engine.config import Settings
from engine.store.store import Store
from engine.telemetry.instruments import Instruments
from engine.workflow.idempotency import Idempotency
from engine.workflow.registry import Registry
from engine.workflow.retry import Retry
from engine.workflow.run import Run
from engine.workflow.stage import Stage

QUEUE = "maintenance"
TENANT = "maintenance"
"""Duties are nobody's work, and nobody's limits may hold them back but their own."""

Report = dict[str, int]
"""What a duty did, by name: the result of its run."""


class Maintained(Protocol):
    """What duties and their scheduler ask of an engine."""

    definitions: Registry
    instruments: Instruments
    broker: RedisBroker

    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def store(self) -> Store: ...  # noqa: D102
    def bind(self, definition: Any) -> None: ...  # noqa: D102
    def start(  # noqa: D102
        self,
        definition: Any,
        payload: bytes,
        *,
        tenant: str,
        key: str | None,
        delay_ms: int,
        priority: int | None,
    ) -> Run: ...


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do once a period.

    Attributes:
        name: Unique among the duties.
        period_ms: Its nominal times are the multiples of this on the server's clock.
        perform: Does it, and tells what it did. Done twice it must do no harm.
        timeout_ms: How long one try may take.
    """

    name: str
    period_ms: int
    perform: Callable[[Maintained], Report]
    timeout_ms: int = 60_000

    @property
    def stage_name(self) -> str:
        """Under this name its runs are listed."""
        return f"{QUEUE}.{self.name}"

    def stage(self, engine: Maintained) -> Stage[[int], Report]:
        """The stage that does the duty on an engine. Its input is the nominal time."""

        def perform_duty(nominal_at_ms: int) -> Report:  # noqa: ARG001 - shown with the run
            return self.perform(engine)

        return Stage(
            perform_duty,
            name=self.stage_name,
            queue=QUEUE,
            retry=Retry(attempts=3, base="5s"),
            timeout=self.timeout_ms,
            idempotency=Idempotency(ttl="24h"),
        )
