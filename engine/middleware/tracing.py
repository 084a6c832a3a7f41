"""Tracing: a consumer span around every attempt of a sampled run; an unsampled one creates none."""

from __future__ import annotations

import threading
from typing import Any

from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Middleware

from engine.telemetry.tracing import LiveSpan, Tracer, error_type
from engine.workflow.attempt import Attempt


class Tracing(Middleware):
    """Begins and ends spans by the messaging conventions; what follows continues from this span."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._local = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        attempt: Attempt | None = getattr(message, "attempt", None)
        if attempt is None or attempt.trace is None:
            return
        span = self._tracer.consumer_span(
            attempt.trace,
            attempt.queue,
            run_id=attempt.run_id,
            stage=attempt.stage,
            tenant=attempt.tenant,
            message_id=message.message_id,
            position=attempt.position,
            attempt=attempt.number,
            wait_ms=attempt.wait_ms,
        )
        if span is not None:
            attempt.trace = span.traceparent
            self._local.span = span

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        span: LiveSpan | None = getattr(self._local, "span", None)
        if span is None:
            return
        self._local.span = None
        outcome = message.attempt.outcome
        span.end(
            outcome=type(outcome).__name__.lower() if outcome else None,
            error=error_type(type(exception)) if exception else None,
        )

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self.after_process_message(broker, message)
