"""Metrics: counts attempts and how long they took, by queue, stage and outcome. Never by tenant."""

from __future__ import annotations

import time
from typing import Any

from dramatiq import Broker, MessageProxy, Worker
from dramatiq.middleware import Middleware

from engine.telemetry.instruments import Instruments
from engine.telemetry.tracing import error_type

_OUTCOMES = {
    "Done": "done",
    "RetryAt": "retry",
    "Dead": "dead",
    "Caught": "caught",
    "Snoozed": "snoozed",
    "Cancelled": "cancelled",
}


class Metrics(Middleware):
    """Feeds the instruments; nothing is counted while nobody listens."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._instruments.utilisation.set_threads(worker.worker_threads)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        if self._instruments.listening:
            self._instruments.began()

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if not self._instruments.listening:
            return
        attempt = getattr(message, "attempt", None)
        outcome = _OUTCOMES.get(type(attempt.outcome).__name__, "done") if attempt else "done"
        if exception is not None and attempt is None:
            outcome = "dead" if message.failed else "retry"
        took_ms = (time.monotonic() - getattr(message, "begun_at", time.monotonic())) * 1000
        error = error_type(type(exception)) if exception else None
        self._instruments.processed(message.queue_name, message.actor_name, outcome, took_ms, error)
        if outcome == "dead":
            self._instruments.died(message.queue_name, message.actor_name, error or "rejected")

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        if self._instruments.listening:
            self._instruments.skipped()
