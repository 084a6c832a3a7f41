"""Every name that leaves the process in a span or a metric, spelled once.

Owns: span names, attribute keys, metric names and units. The `messaging.*` names follow the
OpenTelemetry messaging semantic conventions (status: development); what they do not cover is
named `callboard.*`. Must not: import anything of the engine, or compute values.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "callboard"
"""Instrumentation scope of every span and metric of the engine."""

SYSTEM: Final = "dramatiq"

# --- span and metric attributes: messaging semantic conventions --------------------------------
MESSAGING_SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION_ID: Final = "messaging.message.conversation_id"
"""The run id: every message of one run belongs to one conversation."""
ERROR_TYPE: Final = "error.type"

SEND: Final = "send"
PROCESS: Final = "process"

# --- attributes of our own ---------------------------------------------------------------------
TENANT: Final = "callboard.tenant"
"""On spans only. A metric never carries it: tenants are unbounded, metric series are not."""
PIPELINE: Final = "callboard.pipeline"
STAGE: Final = "callboard.stage"
POSITION: Final = "callboard.position"
ATTEMPT: Final = "callboard.attempt"
OUTCOME: Final = "callboard.outcome"
WAIT_MS: Final = "callboard.wait_ms"
REASON: Final = "callboard.reason"
STATE: Final = "callboard.state"
IDEMPOTENCY_RESULT: Final = "callboard.idempotency.result"

# --- metrics -----------------------------------------------------------------------------------
SENT_MESSAGES: Final = "messaging.client.sent.messages"
CONSUMED_MESSAGES: Final = "messaging.client.consumed.messages"
PROCESS_DURATION: Final = "messaging.process.duration"
"""Seconds, as the conventions ask; everything inside the engine is milliseconds."""

JOBS_PROCESSED: Final = "callboard.jobs.processed"
JOBS_FAILED: Final = "callboard.jobs.failed"
DEAD_LETTERS: Final = "callboard.dead_letters"
IDEMPOTENCY_CLAIMS: Final = "callboard.idempotency.claims"
QUEUE_DEPTH: Final = "callboard.queue.depth"
QUEUE_AGE: Final = "callboard.queue.age"
WORKER_UTILISATION: Final = "callboard.worker.utilisation"

DURATION_BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0
)  # fmt: skip
"""The conventions' buckets, opened at both ends: a stage may take 1 ms or five minutes."""


def send_span(queue: str) -> str:
    """Span name of the producer's side, for example `send ingress-events`."""
    return f"{SEND} {queue}"


def process_span(queue: str) -> str:
    """Span name of one attempt, for example `process ingress-events`."""
    return f"{PROCESS} {queue}"
