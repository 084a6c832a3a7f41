"""Log records: one shape for the engine, for Dramatiq and for the stages that users write.

Owns: the record `{timestamp, correlationId, level, event, data}`, where it goes, and the run
context in it. Everything travels through stdlib logging, so a service that never calls
`setup_logs` keeps its own handlers. Must not: cost anything for a record that is not emitted (the
context is read when one is formatted), or write a payload or a secret (see `redaction`).
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TextIO, cast

import structlog

from engine.telemetry.propagation import trace_id_of
from engine.telemetry.redaction import redact_mapping, redact_text

_TRACEBACK_LIMIT: Final = 8_000
_TAIL_LINE_LIMIT: Final = 300
_NOT_DATA: Final = frozenset({"event", "exc_info", "stack_info"})
_LEVELS: Final = {"warning": "warn", "critical": "error"}  # the record knows four levels
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message", "asctime", "taskName", "data"
}  # fmt: skip


StructlogFields = MutableMapping[str, object]


class AttemptInHand(Protocol):
    """What a log record tells about the attempt it was written in.

    `number` is 1 for the first try; `trace` is a `traceparent`, or None for an untraced run.
    """

    @property
    def run_id(self) -> str: ...  # noqa: D102
    @property
    def tenant(self) -> str: ...  # noqa: D102
    @property
    def stage(self) -> str: ...  # noqa: D102
    @property
    def queue(self) -> str: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def trace(self) -> str | None: ...  # noqa: D102


current_attempt: ContextVar[AttemptInHand | None] = ContextVar("callboard_attempt", default=None)
"""The attempt that this thread or task works on. Set before a stage runs, reset after it."""


def setup_logs(
    level: str = "info",
    format: Literal["console", "json"] = "console",  # noqa: A002 - the setting's name
    *,
    stream: TextIO | None = None,
) -> None:
    """Sends every record of this process, ours and stdlib's, through one handler.

    Replaces plain stream handlers of the root logger (those of `dramatiq`'s command among them)
    and leaves foreign kinds alone. Calling it again changes level and format.

    Args:
        format: `console` for people, `json` for one JSON object a line.
        level: `debug`, `info`, `warning` (or `warn`), `error`, `critical`; any case.
        stream: None is whatever `sys.stderr` is when a record is written: Dramatiq's command
            puts a pipe there after the fork.

    Raises:
        ValueError: if `level` or `format` is unknown; nothing has changed.
    """
    number = _level_number(level)
    formatter = RecordFormatter(_renderer(format, stream))
    handler = _Handler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [old for old in root.handlers if type(old) in (logging.StreamHandler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    _configure_structlog(number)


LogTail = MutableSequence[tuple[str, str, dict[str, object]]]
"""Lines that were logged last: level, text and data, as they were given."""


def stage_log(
    name: str = "callboard.stage", *, tail: LogTail | None = None
) -> structlog.typing.FilteringBoundLogger:
    """A structlog logger that writes through stdlib, whether or not `setup_logs` was called.

    Args:
        name: Of the stdlib logger.
        tail: Is given every line that is written, too; see `shown_tail`.
    """

    def note(_logger: object, method: str, fields: StructlogFields) -> StructlogFields:
        if tail is not None:
            tail.append((method, str(fields.get("event", "")), dict(fields)))
        return fields

    wrapped = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, note, _to_stdlib],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
    )
    return cast("structlog.typing.FilteringBoundLogger", wrapped)


def shown_tail(tail: LogTail) -> tuple[str, ...]:
    """The lines of a tail as text, redacted and at most 300 characters each."""
    return tuple(_shown_line(*line) for line in tail)


def _shown_line(level: str, event: str, fields: dict[str, object]) -> str:
    kept = {key: value for key, value in fields.items() if key not in _NOT_DATA}
    data = "".join(f" {key}={value}" for key, value in redact_mapping(kept).items())
    line = redact_text(f"{_LEVELS.get(level, level)}: {event}{data}", _TAIL_LINE_LIMIT)
    return line.encode("utf-8", "replace").decode()


class RecordFormatter(logging.Formatter):
    """Turns a stdlib record into `{timestamp, correlationId, level, event, data}`, rendered."""

    def __init__(self, render: Callable[[dict[str, object]], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """The finished line, without its newline."""
        return self._render(self.shape(record))

    def shape(self, record: logging.LogRecord) -> dict[str, object]:
        """The record as plain values, redacted and bounded."""
        data = redact_mapping(_given(record))
        data.update(_run_context())
        data["logger"] = record.name
        failure = self._failure(record)
        if failure is not None:
            data["exception"] = failure
        level = record.levelname.lower()
        at = datetime.fromtimestamp(record.created, UTC)
        return {
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "correlationId": data.pop("correlation_id", None) or data.get("run_id"),
            "level": _LEVELS.get(level, level),
            "event": redact_text(record.getMessage()),
            "data": data,
        }

    def _failure(self, record: logging.LogRecord) -> str | None:
        if record.exc_info and record.exc_info[0] is not None:
            # The end of a traceback says what happened; its beginning is the same every time.
            return redact_text(
                self.formatException(record.exc_info)[-_TRACEBACK_LIMIT:], _TRACEBACK_LIMIT
            )
        return None


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the given stream, or to the `sys.stderr` of the moment."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self._follow = stream is None

    def emit(self, record: logging.LogRecord) -> None:
        if self._follow and self.stream is not sys.stderr:
            self.setStream(sys.stderr)
        super().emit(record)


def _given(record: logging.LogRecord) -> dict[str, object]:
    """What the caller passed: our loggers' `data`, and stdlib's `extra`."""
    given = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    data = record.__dict__.get("data")
    if isinstance(data, Mapping):
        given.update(cast("Mapping[str, object]", data))
    elif data is not None:
        given["data"] = data
    return given


def _run_context() -> dict[str, object]:
    attempt = current_attempt.get()
    if attempt is None:
        return {}
    context: dict[str, object] = {
        "run_id": attempt.run_id,
        "tenant": attempt.tenant,
        "stage": attempt.stage,
        "queue": attempt.queue,
        "attempt": attempt.number,
    }
    trace_id = trace_id_of(attempt.trace)
    if trace_id is not None:
        context["trace_id"] = trace_id
    return context


def _renderer(format: str, stream: TextIO | None) -> Callable[[dict[str, object]], str]:  # noqa: A002
    if format == "json":
        return _render_json
    if format != "console":
        raise ValueError(f"Unknown log format {format!r}: use 'console' or 'json'.")
    return _ConsoleLines(colors=(stream or sys.stderr).isatty())


def _render_json(record: dict[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)


class _ConsoleLines:
    """One line a record for people; a traceback follows on lines of its own."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=40)

    def __call__(self, record: dict[str, object]) -> str:
        data = dict(cast("dict[str, object]", record["data"]))
        data.update(timestamp=record["timestamp"], level=record["level"], event=record["event"])
        return str(self._render(None, "", data))


def _configure_structlog(number: int) -> None:
    structlog.configure(
        processors=[_to_stdlib],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _to_stdlib(
    _logger: object, _method: str, fields: MutableMapping[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Hands a structlog event to stdlib: the text as message, the rest as one `data` extra."""
    event = fields.pop("event", "")
    options: dict[str, object] = {
        key: fields.pop(key) for key in ("exc_info", "stack_info") if key in fields
    }
    options["extra"] = {"data": dict(fields)}
    return (event,), options


def _level_number(level: str) -> int:
    name = level.strip().upper()
    known = logging.getLevelNamesMapping()
    if name not in known:
        raise ValueError(
            f"Unknown log level {level!r}: use debug, info, warning, error or critical."
        )
    return known[name]
