"""Policies: how a queue is worked, retried and remembered, and what a tenant may use.

Owns: the frozen records and their bounds. Must not: know environment variables or profiles.

Inside, time is milliseconds (`_ms`). People write `"15s"` and may leave the suffix away:
`base="5s"` sets `base_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from engine.clock import duration_ms
from engine.errors import InvalidDuration


def field_name(model: type[BaseModel], name: str) -> str | None:
    """Give the field that `name` means, with or without `_ms`, or None."""
    return next((known for known in (name, f"{name}_ms") if known in model.model_fields), None)


def nested_model(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    """Give the model that a field holds, or None where it holds a plain value."""
    inner = model.model_fields[field].annotation
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _milliseconds(value: Any) -> int:
    try:
        return duration_ms(value)
    except InvalidDuration:
        raise ValueError(
            "it is no duration; write '250ms', '15s', '5m', '7d' or a number of milliseconds"
        ) from None


Milliseconds = Annotated[int, BeforeValidator(_milliseconds), Field(ge=0)]


class Record(BaseModel):
    """A frozen group of settings; `x` is accepted for `x_ms`, other unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _short_names(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {field_name(cls, str(key)) or key: value for key, value in data.items()}


class RetryPolicy(Record):
    """How often and when a failed stage of a queue is tried again.

    `attempts` counts all tries. The wait before try n + 1 is `base_ms * factor ** (n - 1)`, at most
    `max_ms`, then moved by up to ±`jitter` (a share of itself).
    """

    attempts: PositiveInt = 5
    base_ms: Milliseconds = 5_000
    factor: float = Field(default=2.0, ge=1)
    max_ms: Milliseconds = 300_000
    jitter: float = Field(default=0.25, ge=0, le=1)


class RetentionPolicy(Record):
    """What a queue keeps of its past: the newest `*_count`, and none older than `*_age_ms`.

    A run goes by the queue that it begins in. Dead letters go by age alone: a count would throw
    away what a person still has to look at.

    Attributes:
        completed_count: The newest that are kept; None goes by age alone. A run stays for an hour
            from its end, and as long as an idempotency key needs it.
        failed_count: The same of failed runs; one stays as long as a dead letter of it does.
        completed_age_ms: From a run's end; None takes the settings' `retention_ms`.
        failed_age_ms: The same of a failed run, but never less than its letters are kept; None
            takes the settings' `dead_retention_ms`.
        dead_age_ms: From the death of a letter.
    """

    completed_count: NonNegativeInt | None = None
    completed_age_ms: Milliseconds | None = None
    failed_count: NonNegativeInt | None = None
    failed_age_ms: Milliseconds | None = None
    dead_age_ms: Milliseconds = 30 * 86_400_000


# One lost beat is no death, and neither are two.
_BEAT_MS, _BEATS_AT_LEAST = 1_000, 3


class QueuePolicy(Record):
    """How one queue is worked.

    Attributes:
        name: The queue.
        priority: Class of the queue among the queues of a process.
        message_priority: 0 to 9 for messages that name none; a higher number is sooner.
        global_concurrency: Attempts at once over all processes; None sets no limit.
        local_concurrency: Attempts at once in one process; None leaves it to the worker's threads.
        memory_limit_mb: Resident memory at which a worker process of this queue is replaced.
        retry: Retry policy of stages that declare none.
        max_stalls: Proven deaths of a worker that a message survives; 0 is "dead at the first".
        stall_after_ms: Silence after which a worker counts as dead; the longest of a process's
            queues holds for it. Ten seconds suffice because heartbeats come every second; queue
            libraries that renew locks per job ask for thirty.
        retention: What is kept of ended work.
        max_depth: Messages the queue takes before an enqueue is refused; None sets no limit.
        max_wait_ms: Longest wait before a message expires; None lets it wait for ever.
    """

    name: str = Field(min_length=1)
    priority: Literal["high", "medium", "low"] = "medium"
    message_priority: int = Field(default=5, ge=0, le=9)
    global_concurrency: PositiveInt | None = None
    local_concurrency: PositiveInt | None = None
    memory_limit_mb: PositiveInt | None = None
    retry: RetryPolicy = RetryPolicy()
    max_stalls: NonNegativeInt = 1
    stall_after_ms: Milliseconds = Field(default=10_000, ge=_BEATS_AT_LEAST * _BEAT_MS)
    retention: RetentionPolicy = RetentionPolicy()
    max_depth: PositiveInt | None = None
    max_wait_ms: Milliseconds | None = Field(default=None, ge=1)

    @property
    def priority_class(self) -> int:
        """2 for high, 1 for medium, 0 for low: a higher number is sooner."""
        return ("low", "medium", "high").index(self.priority)

    @property
    def dead_letter_name(self) -> str:
        """The name under which people know the queue's dead letters."""
        return f"{self.name}-dlq"


class TenantLimits(Record):
    """What one tenant may use; None sets no limit. A weight of 4 gets four turns for each of 1."""

    max_concurrent: PositiveInt | None = None
    max_per_minute: PositiveInt | None = None
    weight: int = Field(default=1, ge=1, le=10)
