"""Telemetry: wires the SDK once a worker process, after its fork, where somebody collects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from engine.config import Settings
from engine.telemetry.instruments import Instruments
from engine.telemetry.wiring import wire

if TYPE_CHECKING:
    from engine.telemetry.sdk import Telemetry


class TelemetryWiring(Middleware):
    """Must not: touch the SDK itself, or wire anything in a process that only sends.

    Args:
        settings: Gives the engine's settings; asked at boot, not before.
        instruments: Look again who listens once the providers are set.
    """

    def __init__(self, settings: Callable[[], Settings], instruments: Instruments) -> None:
        self._settings = settings
        self._instruments = instruments
        self._wired: Telemetry | None = None

    def after_process_boot(self, broker: Broker) -> None:
        self._wired = wire("callboard-worker", self._settings())
        if self._wired is not None:
            self._instruments.wire()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        # A forked process runs no exit handlers: what is buffered is written out here.
        if self._wired is not None:
            self._wired.shutdown(timeout_ms=2_000)
