"""Run context: what is logged while an attempt runs carries its run, tenant, stage and queue."""

from __future__ import annotations

from typing import Any

from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Middleware

from engine.telemetry.logs import current_attempt


class RunContext(Middleware):
    """Makes the attempt in hand known to the log formatter, which asks when a record is written."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        current_attempt.set(getattr(message, "attempt", None))

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        current_attempt.set(None)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        current_attempt.set(None)
