"""The trace context as messages carry it: one W3C `traceparent` string, or nothing.

Owns: parsing, formatting, and the sampling decision, taken once at the start of a run. An
unsampled run carries None on every hop, so nothing downstream has anything to decide or to pay.
Must not: create spans, or import OpenTelemetry (it only looks whether the caller has loaded it).
"""

from __future__ import annotations

import random as stdlib_random
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

_LENGTH: Final = 55  # "00-" + 32 + "-" + 16 + "-" + 2
_ODD: Final = frozenset("13579bdf")
_LOWER_HEX: Final = frozenset("0123456789abcdef")


class Dice(Protocol):
    """The two calls of `random.Random` (and of the module `random`) that a decision needs."""

    def random(self) -> float:
        """0.0 to below 1.0."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """A non-negative integer of `k` random bits."""
        ...


class TraceContext(NamedTuple):
    """A parsed `traceparent`: 128-bit trace id, 64-bit span id, 8-bit flags."""

    trace_id: int
    span_id: int
    flags: int

    @property
    def sampled(self) -> bool:
        """The lowest flag: this trace is recorded."""
        return bool(self.flags & 1)


def format_traceparent(trace_id: int, span_id: int, flags: int = 1) -> str:
    """Gives `00-{32 hex}-{16 hex}-{2 hex}`, version 0 of the W3C recommendation."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 0xFF:02x}"


def parse(traceparent: str | None) -> TraceContext | None:
    """Reads a `traceparent`; anything that is not a valid one gives None, never an error.

    Versions above 0 are read as far as version 0 goes, as the recommendation asks.
    """
    if traceparent is None or len(traceparent) < _LENGTH:
        return None
    version, trace_id, span_id, flags = _fields(traceparent)
    if version == "ff" or (version == "00" and len(traceparent) != _LENGTH):
        return None
    if not _LOWER_HEX.issuperset(version + trace_id + span_id + flags):
        return None
    context = TraceContext(int(trace_id, 16), int(span_id, 16), int(flags, 16))
    return context if context.trace_id and context.span_id else None


def is_sampled(traceparent: str | None) -> bool:
    """True if the string's sampled flag is set. Looks at one character: it does not validate."""
    return traceparent is not None and len(traceparent) >= _LENGTH and traceparent[54] in _ODD


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hex digits that a trace backend is searched by, or None."""
    if traceparent is None or len(traceparent) < _LENGTH:
        return None
    return traceparent[3:35]


def new_traceparent(sample_ratio: float, random: Dice = stdlib_random) -> str | None:
    """Decides whether a run that starts now is traced; the decision holds for the whole run.

    The caller's own trace comes first: a sampled active span becomes the parent whatever the
    ratio says, and an unsampled one means None, so a trace is never torn in the middle. Without
    an active span `sample_ratio` of the runs (0.0 to 1.0) get a fresh trace.

    Returns:
        The `traceparent` for the run's messages, or None: not traced. The None case costs
        well under a microsecond.
    """
    context_api = sys.modules.get("opentelemetry.context")
    if context_api is not None and context_api.get_current():
        caller = _active_span()
        if caller is not None:
            return format_traceparent(*caller) if caller.sampled else None
    if random.random() >= sample_ratio:
        return None
    return format_traceparent(random.getrandbits(128) or 1, random.getrandbits(64) or 1)


def sample_ratio_from(environ: Mapping[str, str], default: float) -> float:
    """The ratio to decide by: the operator's OTEL_* variables win over the setting `default`.

    `OTEL_SDK_DISABLED=true` gives 0.0; `OTEL_TRACES_SAMPLER` is read with its `_ARG`. Unknown
    sampler names and ratios that are no number leave the default.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return 0.0
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower().removeprefix("parentbased_")
    if sampler == "always_on":
        return 1.0
    if sampler == "always_off":
        return 0.0
    if sampler == "traceidratio":
        return _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", "1.0"), default)
    return default


def _ratio(text: str, default: float) -> float:
    try:
        ratio = float(text)
    except ValueError:
        return default
    return ratio if 0.0 <= ratio <= 1.0 else default


def _active_span() -> TraceContext | None:
    """The caller's span, if its process uses OpenTelemetry and one is active."""
    from opentelemetry import trace  # noqa: PLC0415 - a process without tracing never loads it

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return TraceContext(context.trace_id, context.span_id, int(context.trace_flags))


def _fields(traceparent: str) -> tuple[str, str, str, str]:
    if not traceparent[2] == traceparent[35] == traceparent[52] == "-":
        return "ff", "", "", ""
    return traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:55]
