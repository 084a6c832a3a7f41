"""The spans of a run: `send` where it starts, `process` around each attempt, all in one trace.

Owns: when a span exists, its kind, parent and attributes. Must not: touch the SDK, see payloads,
or record what an exception says; only its type leaves the process. Attribute values are ids and
names that the engine has already bounded.
"""

from __future__ import annotations

import random as stdlib_random
import threading
from contextvars import Token
from types import TracebackType
from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
)

from engine.telemetry import names
from engine.telemetry.propagation import Dice, format_traceparent, new_traceparent, parse

_Attributes = dict[str, str | int]

_FAILED: Final = Status(StatusCode.ERROR)
"""Without a description: what an exception says may quote a payload."""
_BASES_KEPT: Final = 4_096


class LiveSpan:
    """A span that has begun. Exactly one `end` counts; later ones do nothing.

    `traceparent` names this span, for the messages whose parent it is to be.
    """

    __slots__ = ("_span", "_thread", "_token", "traceparent")

    def __init__(self, span: Span, traceparent: str, *, current: bool) -> None:
        self._span: Span | None = span
        self.traceparent = traceparent
        self._token: Token[Context] | None = None
        self._thread = 0
        if current:
            self._thread = threading.get_ident()
            self._token = context_api.attach(trace.set_span_in_context(span))

    def end(
        self, outcome: str | None = None, error: str | type[BaseException] | None = None
    ) -> None:
        """Ends the span.

        Args:
            outcome: How the attempt ended (`done`, `retry`, `dead`, ...); None for a send.
            error: The failure's type or its name; marks the span as failed.
        """
        span, self._span = self._span, None
        if span is None:
            return
        self._leave()
        if outcome is not None:
            span.set_attribute(names.OUTCOME, outcome)
        if error is not None:
            span.set_attribute(names.ERROR_TYPE, error_type(error))
            span.set_status(_FAILED)
        span.end()

    def _leave(self) -> None:
        token, self._token = self._token, None
        # A context can only be left where it was entered; elsewhere it dies with its thread.
        if token is not None and self._thread == threading.get_ident():
            context_api.detach(token)

    def __enter__(self) -> LiveSpan:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(error=kind)


class Tracer:
    """Makes the engine's spans; None stands for an unsampled run, and costs nothing further."""

    def __init__(
        self,
        sample_ratio: float,
        *,
        provider: TracerProvider | None = None,
        random: Dice = stdlib_random,
    ) -> None:
        """`provider`: None follows the global one, also if it is set after this call."""
        self._sample_ratio = sample_ratio
        self._random = random
        self._tracer = trace.get_tracer(names.SCOPE, tracer_provider=provider)
        self._bases: dict[tuple[str, str, str | None], _Attributes] = {}

    def producer_span(
        self,
        queue: str,
        *,
        run_id: str,
        tenant: str | None = None,
        pipeline: str | None = None,
        stage: str | None = None,
        message_id: str | None = None,
    ) -> LiveSpan | None:
        """Begins the PRODUCER span of a run's start and takes its sampling decision.

        Put `traceparent` of the result into the run's messages and call `end()` when the store
        has answered. The caller's active span is the parent. Where this process has no SDK the
        run is traced all the same: the traceparent is made up, and workers build on it.

        Returns:
            None if the run is not sampled: its messages then carry no trace.
        """
        decided = new_traceparent(self._sample_ratio, self._random)
        if decided is None:
            return None
        attributes = self._base(names.SEND, queue, stage).copy()
        _identify(attributes, run_id, tenant, pipeline, message_id)
        span = self._tracer.start_span(
            names.send_span(queue), kind=SpanKind.PRODUCER, attributes=attributes
        )
        context = span.get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            decided = _format(context)
        return LiveSpan(span, decided, current=False)

    def consumer_span(  # noqa: PLR0913 - all are attributes of one span, by keyword
        self,
        traceparent: str | None,
        queue: str,
        *,
        run_id: str,
        stage: str | None = None,
        tenant: str | None = None,
        pipeline: str | None = None,
        message_id: str | None = None,
        position: str | None = None,
        attempt: int = 1,
        wait_ms: int | None = None,
    ) -> LiveSpan | None:
        """Begins the CONSUMER span of one attempt, as a child of `traceparent`.

        The span is current until it ends, so what the stage calls nests under it; begin and end
        it on the same thread (before and after the message's processing).

        A traceparent that is None, unsampled or unreadable gives no span. `attempt` is 1 for the
        first try; `wait_ms` is how long the message was due before this attempt began.
        """
        if traceparent is None:
            return None
        parent = parse(traceparent)
        if parent is None or not parent.sampled:
            return None
        attributes = self._base(names.PROCESS, queue, stage).copy()
        _identify(attributes, run_id, tenant, pipeline, message_id)
        attributes[names.ATTEMPT] = attempt
        if position is not None:
            attributes[names.POSITION] = position
        if wait_ms is not None:
            attributes[names.WAIT_MS] = wait_ms
        span = self._tracer.start_span(
            names.process_span(queue),
            context=_parent(parent.trace_id, parent.span_id, parent.flags),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )
        context = span.get_span_context()
        return LiveSpan(span, _format(context) if context.is_valid else traceparent, current=True)

    def _base(self, operation: str, queue: str, stage: str | None) -> _Attributes:
        key = (operation, queue, stage)
        base = self._bases.get(key)
        if base is None:
            if len(self._bases) >= _BASES_KEPT:
                self._bases.clear()
            base = self._bases[key] = _base(operation, queue, stage)
        return base


def error_type(error: str | type[BaseException]) -> str:
    """The value of `error.type`: a qualified class name, never what the error says."""
    if isinstance(error, str):
        return error
    module = error.__module__
    return error.__qualname__ if module == "builtins" else f"{module}.{error.__qualname__}"


def _base(operation: str, queue: str, stage: str | None) -> _Attributes:
    base: _Attributes = {
        names.MESSAGING_SYSTEM: names.SYSTEM,
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: operation,
        names.DESTINATION: queue,
    }
    if stage is not None:
        base[names.STAGE] = stage
    return base


def _identify(
    attributes: _Attributes,
    run_id: str,
    tenant: str | None,
    pipeline: str | None,
    message_id: str | None,
) -> None:
    attributes[names.CONVERSATION_ID] = run_id
    if tenant is not None:
        attributes[names.TENANT] = tenant
    if pipeline is not None:
        attributes[names.PIPELINE] = pipeline
    if message_id is not None:
        attributes[names.MESSAGE_ID] = message_id


def _parent(trace_id: int, span_id: int, flags: int) -> Context:
    # An empty Context, not the current one: a delivery owes nothing to what the thread did before.
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _format(context: SpanContext) -> str:
    return format_traceparent(context.trace_id, context.span_id, int(context.trace_flags))
