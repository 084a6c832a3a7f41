"""The sampling decision and the string that carries it."""

from __future__ import annotations

import random
import timeit

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from engine.telemetry.propagation import (
    format_traceparent,
    is_sampled,
    new_traceparent,
    parse,
    sample_ratio_from,
    trace_id_of,
)

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def caller_with(flags: int) -> object:
    span = NonRecordingSpan(SpanContext(7, 9, is_remote=False, trace_flags=TraceFlags(flags)))
    return context_api.attach(trace.set_span_in_context(span))


def test_what_is_formatted_parses_to_the_same_context() -> None:
    context = parse(VALID)
    assert context is not None
    assert context.sampled
    assert format_traceparent(*context) == VALID


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "garbage",
        "x" * 55,
        VALID.upper(),
        VALID.replace("-", "_"),
        "ff" + VALID[2:],
        VALID + "-extra",
        "00-" + "0" * 32 + VALID[35:],
        VALID[:36] + "0" * 16 + "-01",
        "00-" + "g" * 32 + VALID[35:],
    ],
)
def test_anything_else_parses_to_none(text: str | None) -> None:
    assert parse(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse("01" + VALID[2:] + "-more") is not None


def test_the_sampled_flag_is_one_bit_of_several() -> None:
    assert is_sampled(VALID)
    assert is_sampled(VALID[:-1] + "3")
    assert not is_sampled(VALID[:-1] + "2")
    assert not is_sampled(None)
    assert not is_sampled("00-short-01")


def test_the_trace_id_is_read_off_the_string() -> None:
    assert trace_id_of(VALID) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace_id_of(None) is None


def test_the_ratio_decides_where_nobody_traces_yet() -> None:
    dice = random.Random(1)
    assert new_traceparent(0.0, dice) is None
    assert all(is_sampled(new_traceparent(1.0, dice)) for _ in range(100))
    sampled = sum(new_traceparent(0.1, dice) is not None for _ in range(10_000))
    assert 800 < sampled < 1_200


def test_a_sampled_caller_is_the_parent_whatever_the_ratio_says() -> None:
    token = caller_with(1)
    try:
        assert new_traceparent(0.0) == format_traceparent(7, 9)
    finally:
        context_api.detach(token)  # type: ignore[arg-type]


def test_an_unsampled_caller_is_not_torn_in_the_middle() -> None:
    token = caller_with(0)
    try:
        assert new_traceparent(1.0) is None
    finally:
        context_api.detach(token)  # type: ignore[arg-type]


def test_the_unsampled_decision_costs_next_to_nothing() -> None:
    best_s = min(timeit.repeat(lambda: new_traceparent(0.0), number=10_000, repeat=5)) / 10_000
    assert best_s < 3e-6  # measured 0.3 us; the slack is for a busy machine


@pytest.mark.parametrize(
    ("environ", "ratio"),
    [
        ({}, 0.25),
        ({"OTEL_SDK_DISABLED": "TRUE"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, 0.5),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "lots"}, 0.25),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, 0.25),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, 0.25),
    ],
)
def test_the_operators_environment_overrules_the_setting(
    environ: dict[str, str], ratio: float
) -> None:
    assert sample_ratio_from(environ, 0.25) == ratio
