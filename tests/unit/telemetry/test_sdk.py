"""Wired in one call; without a collector it says so once and goes on."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.telemetry import collector as collector_room
from engine.telemetry import sdk
from engine.telemetry.collector import Collector
from engine.telemetry.sdk import Telemetry, setup
from engine.telemetry.tracing import Tracer

LOCAL: dict[str, str] = {}


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in sdk._NOISY]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.propagate = propagate


def nobody(host: str, port: int) -> bool:
    return False


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "callboard.telemetry"]


def trace_one_run(telemetry: Telemetry) -> None:
    tracer = Tracer(telemetry.sample_ratio, provider=telemetry.tracer_provider)
    start = tracer.producer_span("ingress-events", run_id="r-1")
    assert start is not None
    start.end()
    span = tracer.consumer_span(start.traceparent, "ingress-events", run_id="r-1")
    assert span is not None
    span.end("done")


def test_a_missing_collector_is_told_once_and_nothing_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = setup("t", sample_ratio=1.0, install=False, probe=nobody, environ=LOCAL)
    for _ in range(5):
        trace_one_run(telemetry)
    assert telemetry.tracer_provider is not None
    telemetry.tracer_provider.force_flush()
    assert telemetry.shutdown(2_000)
    (said,) = complaints(caplog)
    assert "http://localhost:4318" in said


def test_the_complaint_shows_no_credentials(caplog: pytest.LogCaptureFixture) -> None:
    assert not Collector("http://u:s3cr3t@c:4318", probe=nobody).reachable()
    (said,) = complaints(caplog)
    assert "s3cr3t" not in said


def test_only_the_announcing_process_tells(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector("http://c:4318", announce=False, probe=nobody)
    assert not collector.reachable()
    assert complaints(caplog) == []


def test_the_collector_is_asked_at_most_every_fifteen_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []
    now_s = 100.0
    monkeypatch.setattr(collector_room.time, "monotonic", lambda: now_s)

    def probe(host: str, port: int) -> bool:
        asked.append((host, port))
        return len(asked) > 1

    collector = Collector("http://collector:4317", probe=probe)
    assert [collector.reachable() for _ in range(3)] == [False] * 3
    now_s += 15
    assert collector.reachable()
    assert asked == [("collector", 4317)] * 2


def test_setting_up_does_not_wait_for_the_probe() -> None:
    release = threading.Event()

    def slow(host: str, port: int) -> bool:
        return not release.wait(5)

    began_s = time.monotonic()
    telemetry = setup("t", sample_ratio=1.0, install=False, probe=slow, environ=LOCAL)
    assert time.monotonic() - began_s < 2
    release.set()
    telemetry.shutdown(2_000)


def test_a_shutdown_that_can_not_end_gives_up_in_time() -> None:
    release = threading.Event()

    class Stuck:
        def shutdown(self) -> None:
            release.wait(5)

    telemetry = Telemetry(1.0, tracer_provider=Stuck())  # type: ignore[arg-type]
    began_s = time.monotonic()
    assert not telemetry.shutdown(50)
    assert time.monotonic() - began_s < 2
    release.set()
    assert telemetry.shutdown(50)


def test_a_disabled_sdk_makes_nothing() -> None:
    environ = {"OTEL_SDK_DISABLED": "true"}
    telemetry = setup("t", sample_ratio=1.0, install=False, probe=nobody, environ=environ)
    assert telemetry == Telemetry(sample_ratio=0.0)


def test_exporters_switched_off_by_variable_ask_nobody() -> None:
    environ = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    telemetry = setup("t", sample_ratio=1.0, install=False, probe=nobody, environ=environ)
    assert telemetry.collector is None
    assert telemetry.meter_provider is None
    telemetry.shutdown(2_000)


def test_a_traces_file_holds_one_json_line_a_span_and_needs_no_collector(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out" / "traces.jsonl"
    telemetry = setup("demo", sample_ratio=1.0, traces_file=path, install=False, environ=LOCAL)
    trace_one_run(telemetry)
    assert telemetry.shutdown(2_000)
    spans = [json.loads(line) for line in path.read_text().splitlines()]
    assert [span["name"] for span in spans] == ["send ingress-events", "process ingress-events"]
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    assert spans[0]["resource"]["attributes"]["service.name"] == "demo"
    assert complaints(caplog) == []


def test_every_run_that_was_decided_for_is_kept_whatever_the_foreign_ratio(
    tmp_path: Path,
) -> None:
    path = tmp_path / "traces.jsonl"
    telemetry = setup("t", sample_ratio=0.0, traces_file=path, install=False, environ=LOCAL)
    trace_one_run(Telemetry(1.0, tracer_provider=telemetry.tracer_provider))
    assert telemetry.tracer_provider is not None
    telemetry.tracer_provider.get_tracer("http").start_span("GET").end()
    telemetry.shutdown(2_000)
    assert len(path.read_text().splitlines()) == 2


def test_the_exporters_speak_once(caplog: pytest.LogCaptureFixture) -> None:
    sdk.quiet_exporters()
    sdk.quiet_exporters()
    for _ in range(3):
        logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").error("no")
        logging.getLogger("opentelemetry.sdk.trace").warning("full")
    assert len(complaints(caplog)) == 1


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"}, "http://t/x"),
    ],
)
def test_a_base_url_gets_the_path_of_its_signal(environ: dict[str, str], url: str) -> None:
    assert sdk._signal_url("http://c:4318/", "TRACES", environ) == url
