"""One trace per run, with the right kinds, names, attributes and parents."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from engine.telemetry.propagation import is_sampled, trace_id_of
from engine.telemetry.tracing import Tracer

WHO: dict[str, Any] = {"run_id": "r-1", "tenant": "acme", "pipeline": "push-received"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    return Tracer(1.0, provider=provider)


def attempt(tracer: Tracer, traceparent: str | None, stage: str, number: int = 1) -> str | None:
    span = tracer.consumer_span(
        traceparent, "ingress-events", stage=stage, attempt=number, message_id="m-1", **WHO
    )
    if span is None:
        return None
    span.end("done")
    return span.traceparent


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.parent is not None
    return span.parent.trace_id, span.parent.span_id


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_every_attempt_of_a_run_is_in_the_trace_of_its_start(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    start = tracer.producer_span("ingress-events", stage="parse", message_id="m-1", **WHO)
    assert start is not None
    start.end()
    attempt(tracer, start.traceparent, "parse")
    attempt(tracer, start.traceparent, "parse", number=2)
    attempt(tracer, start.traceparent, "enrich")

    sent, *attempts = exporter.get_finished_spans()
    assert (sent.name, sent.kind, sent.parent) == (
        "send ingress-events",
        SpanKind.PRODUCER,
        None,
    )
    assert [span.name for span in attempts] == ["process ingress-events"] * 3
    assert {span.kind for span in attempts} == {SpanKind.CONSUMER}
    assert {parent_ids(span) for span in attempts} == {ids(sent)}
    assert {ids(span)[0] for span in attempts} == {ids(sent)[0]}
    assert [attributes(span)["callboard.attempt"] for span in attempts] == [1, 2, 1]


def test_attributes_follow_the_messaging_conventions(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    start = tracer.producer_span("ingress-events", stage="parse", message_id="m-1", **WHO)
    assert start is not None
    start.end()
    attempt(tracer, start.traceparent, "parse")
    sent, processed = exporter.get_finished_spans()
    shared = {
        "messaging.system": "dramatiq",
        "messaging.destination.name": "ingress-events",
        "messaging.message.id": "m-1",
        "messaging.message.conversation_id": "r-1",
        "callboard.tenant": "acme",
        "callboard.pipeline": "push-received",
        "callboard.stage": "parse",
    }
    assert attributes(sent) == shared | {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    assert attributes(processed) == shared | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "callboard.attempt": 1,
        "callboard.outcome": "done",
    }


def test_an_attempt_may_be_the_parent_of_what_follows(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    start = tracer.producer_span("ingress-events", **WHO)
    assert start is not None
    after = attempt(tracer, start.traceparent, "parse")
    attempt(tracer, after, "enrich")
    first, second = exporter.get_finished_spans()
    assert parent_ids(second) == ids(first)


def test_an_unsampled_run_creates_no_span_anywhere(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = Tracer(0.0, provider=provider)
    assert tracer.producer_span("ingress-events", **WHO) is None
    assert attempt(tracer, None, "parse") is None
    assert attempt(tracer, f"00-{1:032x}-{1:016x}-00", "parse") is None
    assert attempt(tracer, "not a traceparent", "parse") is None
    assert exporter.get_finished_spans() == ()


def test_the_callers_span_is_the_parent_of_the_send(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with provider.get_tracer("service").start_as_current_span("POST /hook") as request:
        start = Tracer(0.0, provider=provider).producer_span("ingress-events", **WHO)
        assert start is not None
        start.end()
    sent = exporter.get_finished_spans()[0]
    assert sent.parent == request.get_span_context()


def test_what_a_stage_calls_nests_under_its_attempt(
    tracer: Tracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    before = trace.get_current_span()
    start = tracer.producer_span("ingress-events", **WHO)
    assert start is not None
    span = tracer.consumer_span(start.traceparent, "ingress-events", run_id="r-1")
    assert span is not None
    provider.get_tracer("http").start_span("GET").end()
    span.end("done")
    call, processed = exporter.get_finished_spans()
    assert call.parent == processed.context
    assert trace.get_current_span() is before


def test_a_failure_leaves_its_type_and_nothing_that_it_says(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    start = tracer.producer_span("ingress-events", **WHO)
    assert start is not None
    with pytest.raises(ConnectionError), start:
        raise ConnectionError("card 4111 1111 1111 1111")
    (sent,) = exporter.get_finished_spans()
    assert attributes(sent)["error.type"] == "ConnectionError"
    assert sent.status.status_code is StatusCode.ERROR
    assert "4111" not in sent.to_json()


def test_only_the_first_end_counts(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    start = tracer.producer_span("ingress-events", **WHO)
    assert start is not None
    span = tracer.consumer_span(start.traceparent, "ingress-events", run_id="r-1")
    assert span is not None
    span.end("retry", "acme.Timeout")
    span.end("done")
    (processed,) = exporter.get_finished_spans()
    assert attributes(processed)["callboard.outcome"] == "retry"


def test_a_span_ended_on_another_thread_is_still_recorded(
    tracer: Tracer, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    start = tracer.producer_span("ingress-events", **WHO)
    assert start is not None

    def begin_and_hand_over(into: list[object]) -> None:
        into.append(tracer.consumer_span(start.traceparent, "ingress-events", run_id="r-1"))

    handed: list[object] = []
    thread = threading.Thread(target=begin_and_hand_over, args=(handed,))
    thread.start()
    thread.join()
    handed[0].end("done")  # type: ignore[attr-defined]
    assert len(exporter.get_finished_spans()) == 1
    assert not caplog.records


def test_a_sender_without_an_sdk_still_starts_a_trace() -> None:
    start = Tracer(1.0, provider=trace.NoOpTracerProvider()).producer_span("q", run_id="r-1")
    assert start is not None
    assert is_sampled(start.traceparent)


def test_a_service_whose_sdk_drops_the_send_does_not_cost_the_run_its_trace() -> None:
    quiet = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    start = Tracer(1.0, provider=quiet).producer_span("q", run_id="r-1")
    assert start is not None
    assert is_sampled(start.traceparent)
    span = Tracer(1.0, provider=quiet).consumer_span(start.traceparent, "q", run_id="r-1")
    assert span is not None
    span.end("done")
    assert trace_id_of(span.traceparent) is not None
