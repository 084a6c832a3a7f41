"""Retries of plain Dramatiq messages; a stage is retried by its own policy."""

from __future__ import annotations

from typing import Any

from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Retries

from engine.workflow.attempt import Attempt


class PlainRetries(Retries):
    """Dramatiq's Retries, silent about stages: their outcome is settled, nothing was exceeded."""

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if isinstance(getattr(message, "attempt", None), Attempt):
            return
        super().after_process_message(  # type: ignore[no-untyped-call]
            broker, message, result=result, exception=exception
        )
