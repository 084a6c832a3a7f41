"""One record shape for every logger, with the run it belongs to."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from engine.telemetry.logs import current_attempt, setup_logs, stage_log


@dataclass
class Attempt:
    run_id: str = "r-1"
    tenant: str = "acme"
    stage: str = "parse"
    queue: str = "ingress-events"
    number: int = 2
    trace: str | None = f"00-{255:032x}-{1:016x}-01"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def in_attempt() -> Iterator[None]:
    token = current_attempt.set(Attempt())
    yield
    current_attempt.reset(token)


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_stdlib_record_has_the_engines_shape(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    logging.getLogger("dramatiq.worker").info("Booted %d threads", 8, extra={"pid": 7})
    (record,) = records(stream)
    assert list(record) == ["timestamp", "correlationId", "level", "event", "data"]
    assert record["timestamp"].endswith("Z")
    assert record["correlationId"] is None
    assert (record["level"], record["event"]) == ("info", "Booted 8 threads")
    assert record["data"] == {"pid": 7, "logger": "dramatiq.worker"}


@pytest.mark.usefixtures("in_attempt")
def test_a_record_written_in_an_attempt_names_its_run(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    logging.getLogger("acme").warning("slow")
    (record,) = records(stream)
    assert record["correlationId"] == "r-1"
    assert record["level"] == "warn"
    assert record["data"] == {
        "run_id": "r-1",
        "tenant": "acme",
        "stage": "parse",
        "queue": "ingress-events",
        "attempt": 2,
        "trace_id": f"{255:032x}",
        "logger": "acme",
    }


def test_structlog_and_the_stage_log_write_the_same_record(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    structlog.get_logger("callboard.fetcher").info("job_completed", duration=5, name="n")
    stage_log().info("100% done", duration=5, name="n")
    first, second = records(stream)
    assert first["event"] == "job_completed"
    assert second["event"] == "100% done"
    assert first["data"]["duration"] == second["data"]["duration"] == 5
    assert second["data"]["name"] == "n"


def test_the_stage_log_works_without_any_setup(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        stage_log().info("hello", n=1)
    assert caplog.records[0].getMessage() == "hello"


def test_secrets_and_payloads_are_not_written(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    stage_log().info("at redis://u:s3cr3t@db", payload="s3cr3t", api_key="s3cr3t", kwargs={})
    (record,) = records(stream)
    assert "s3cr3t" not in stream.getvalue()
    assert record["data"]["api_key"] == "***"
    assert "payload" not in record["data"]


def test_a_traceback_is_kept_bounded_and_redacted(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    try:
        raise ValueError("redis://u:s3cr3t@db " + "x" * 50_000)
    except ValueError:
        logging.getLogger("acme").exception("failed")
        stage_log().exception("failed too")
    for record in records(stream):
        assert record["level"] == "error"
        assert len(record["data"]["exception"]) < 8_100
    assert "s3cr3t" not in stream.getvalue()


def test_the_console_shows_one_line_a_record(stream: io.StringIO) -> None:
    setup_logs("info", "console", stream=stream)
    stage_log().info("parsed", items=3)
    (line,) = stream.getvalue().splitlines()
    assert "parsed" in line
    assert "items=3" in line


def test_a_record_below_the_level_costs_no_look_at_the_attempt(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    token = current_attempt.set(object())  # type: ignore[arg-type] - reading it would fail
    try:
        stage_log().debug("quiet")
        logging.getLogger("acme").debug("quiet")
    finally:
        current_attempt.reset(token)
    assert stream.getvalue() == ""


def test_setting_up_again_replaces_the_handler(stream: io.StringIO) -> None:
    setup_logs("info", "json", stream=stream)
    setup_logs("debug", "json", stream=stream)
    logging.getLogger("acme").debug("once")
    assert len(records(stream)) == 1


def test_an_unknown_level_or_format_is_refused_before_anything_changes() -> None:
    before = logging.getLogger().handlers[:]
    with pytest.raises(ValueError, match="'loud'"):
        setup_logs("loud")
    with pytest.raises(ValueError, match="'xml'"):
        setup_logs("info", "xml")  # type: ignore[arg-type]
    assert logging.getLogger().handlers == before
