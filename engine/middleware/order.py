"""The order of all middleware of an engine's broker, with a reason for each place.

Before-hooks run from the first to the last, after-hooks from the last to the first.
"""

from __future__ import annotations

from collections.abc import Callable

from dramatiq.middleware import (
    AgeLimit,
    AsyncIO,
    Callbacks,
    CurrentMessage,
    Middleware,
    Pipelines,
    ShutdownNotifications,
    TimeLimit,
)

from engine.config import Settings
from engine.middleware.batching import Batching
from engine.middleware.idempotency import IdempotencyKeys
from engine.middleware.metrics import Metrics
from engine.middleware.retries import PlainRetries
from engine.middleware.run_context import RunContext
from engine.middleware.telemetry import TelemetryWiring
from engine.middleware.tenancy import Tenancy
from engine.middleware.tracing import Tracing
from engine.telemetry.instruments import Instruments
from engine.telemetry.tracing import Tracer


def ours(
    tracer: Tracer,
    instruments: Instruments,
    settings: Callable[[], Settings],
    batching: Batching,
) -> list[Middleware]:
    """All middleware of an engine, ours and Dramatiq's.

    Args:
        tracer: Makes the spans of attempts.
        instruments: Counts them.
        settings: Gives the engine's settings when a worker process boots.
        batching: Knows the batches of the engine's stages.
    """
    return [
        AsyncIO(),  # first: its event loop must stand before any other hook of the boot uses it
        TelemetryWiring(settings, instruments),  # before all that may make a span or count
        RunContext(),  # before all that may log, so that their records carry the run
        Tracing(tracer),  # outside of everything measured or refused, so that the span covers it
        Metrics(instruments),  # inside the span, outside of Dramatiq's vetoes: a skip counts as one
        Tenancy(settings),  # names the tenant before a key is derived from it
        batching,  # only the life of the worker concerns it
        IdempotencyKeys(settings),  # the last to change a message before it is sent
        # Dramatiq's own, in its default order. Stages have retries and deadlines of their own.
        AgeLimit(),
        TimeLimit(),
        ShutdownNotifications(),
        Callbacks(),
        Pipelines(),
        PlainRetries(),
        CurrentMessage(),  # last: actor code alone asks for it
    ]
