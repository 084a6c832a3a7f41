"""Telemetry of one process by the engine's settings: wired where somebody collects, else untouched.

Owns the decision. The SDK is loaded where it is used: a worker without a collector pays nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.config import Settings

if TYPE_CHECKING:
    from engine.telemetry.sdk import Telemetry

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(settings: Settings, environ: Mapping[str, str] | None = None) -> bool:
    """Whether the settings or the customary variables name anybody who collects."""
    environ = os.environ if environ is None else environ
    named = any(environ.get(name) for name in _ENDPOINTS)
    return bool(named or settings.otlp_endpoint or settings.traces_file)


def wire(service_name: str, settings: Settings, *, announce: bool = True) -> Telemetry | None:
    """Starts tracing and metrics in this process if they are wanted; call it after a fork.

    Args:
        service_name: What the process reports itself as, unless OTEL_SERVICE_NAME says otherwise.
        settings: Name the collector or the file.
        announce: Whether this process says so when no collector answers.
    """
    if not wanted(settings):
        return None
    from engine.telemetry import sdk  # noqa: PLC0415 - 100 ms and 20 MB that others need not pay

    return sdk.setup(
        service_name,
        sample_ratio=settings.tracing_sample_ratio,
        endpoint=settings.otlp_endpoint,
        traces_file=settings.traces_file,
        announce=announce,
    )
