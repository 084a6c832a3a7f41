"""Whether an OpenTelemetry collector answers, asked rarely and told once.

Owns: the probe and the one log line about its failure. Must not: touch the SDK, or be asked from
a thread that runs stages (a probe may take half a second).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from engine.telemetry.redaction import redact_text

_log = logging.getLogger("callboard.telemetry")

Probe = Callable[[str, int], bool]
"""`(host, port)` -> whether somebody accepts a connection there. May take half a second."""

_PROBE_TIMEOUT_S: Final = 0.5
_PROBE_AGAIN_S: Final = 15.0


class Collector:
    """Knows whether the collector answers, asks at most every 15 s, and complains once."""

    def __init__(self, url: str, *, announce: bool = True, probe: Probe | None = None) -> None:
        self.url = url
        self._announce = announce
        self._probe = probe or accepts_connections
        self._lock = threading.Lock()
        self._asked_at_s: float | None = None
        self._there = False

    def reachable(self) -> bool:
        """The last answer, asked again if it is 15 s old."""
        with self._lock:
            now_s = time.monotonic()
            if self._asked_at_s is None or now_s - self._asked_at_s >= _PROBE_AGAIN_S:
                self._there = self._probe(*_host_and_port(self.url))
                self._asked_at_s = now_s
                self._complain()
            return self._there

    def _complain(self) -> None:
        if self._there or not self._announce:
            return
        self._announce = False
        _log.warning(
            "No OpenTelemetry collector answers at %s: traces and metrics are dropped until one "
            "does, and nothing else changes. Set OTEL_EXPORTER_OTLP_ENDPOINT to where it is, or "
            "OTEL_SDK_DISABLED=true to do without.",
            redact_text(self.url),
        )


def accepts_connections(host: str, port: int) -> bool:
    """True if a TCP connection opens within half a second."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url if "://" in url else f"//{url}")
    return parts.hostname or "localhost", parts.port or (443 if parts.scheme == "https" else 4318)
