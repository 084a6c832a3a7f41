"""The engine's metrics, as calls named after what happened.

Owns: instruments, their attributes and how long a queue's sample stays worth reporting. Must not:
touch the SDK, read Redis, or carry tenants, runs or messages as attributes (series are bounded
by queues x stages x outcomes). While no meter provider is configured each call is one test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from engine.telemetry import names
from engine.telemetry.utilisation import Utilisation

_Attributes = dict[str, str]
_SILENT_PROVIDERS: Final = frozenset({"_ProxyMeterProvider", "NoOpMeterProvider"})
_SAMPLE_FRESH_S: Final = 90.0
_SERIES_KEPT: Final = 2_000
_OVERFLOW: Final = "(others)"

_Key = tuple[str, str, str | None, str | None]
"""Queue, stage, a third attribute (the outcome, or see `_THIRD`), error type."""

_THIRD: Final = {
    names.DEAD_LETTERS: names.REASON,
    names.IDEMPOTENCY_CLAIMS: names.IDEMPOTENCY_RESULT,
}
_OPERATIONS: Final = {
    names.SENT_MESSAGES: names.SEND,
    names.CONSUMED_MESSAGES: names.PROCESS,
    names.PROCESS_DURATION: names.PROCESS,
}
_COUNTERS: Final = (
    (names.SENT_MESSAGES, "{message}", "Messages that producers tried to send"),
    (names.CONSUMED_MESSAGES, "{message}", "Messages that reached a stage"),
    (names.JOBS_PROCESSED, "{job}", "Stages that were done"),
    (names.JOBS_FAILED, "{job}", "Stages that will not be tried again"),
    (names.DEAD_LETTERS, "{message}", "Dead letters made"),
    (names.IDEMPOTENCY_CLAIMS, "{claim}", "Idempotency keys asked for, hits and new"),
)


class Instruments:
    """Counts what the engine does, once `listening`.

    `listening` is decided at construction and again by `wire()`; call that after a meter
    provider has been set. A provider set by somebody else is noticed at its first collection.
    """

    def __init__(
        self,
        provider: MeterProvider | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`provider`: None follows the global one, also if it is set after this call."""
        self._provider = provider
        self._monotonic = monotonic
        self._cache: dict[_Key, _Attributes] = {}
        # Counted here and read at collection: an SDK counter costs tens of times as much a call.
        self._counts: dict[str, dict[_Key, int]] = {name: {} for name, _, _ in _COUNTERS}
        self._lock = threading.Lock()
        self._samples: dict[tuple[str, str], tuple[float, int, int]] = {}
        self.utilisation = Utilisation(monotonic)
        self.listening = False
        self._create(metrics.get_meter(names.SCOPE, meter_provider=provider))
        self.wire()

    def wire(self) -> bool:
        """Looks again whether anybody listens; True if so."""
        provider = self._provider or metrics.get_meter_provider()
        # The API has no question for this; its silent providers are known by name.
        self.listening = type(provider).__name__ not in _SILENT_PROVIDERS
        return self.listening

    # --- what happened -------------------------------------------------------------------------

    def sent(self, queue: str, stage: str, count: int = 1, error: str | None = None) -> None:
        """`count` messages were sent, or failed to be with an error of type `error`."""
        if self.listening:
            self._count(names.SENT_MESSAGES, (queue, stage, None, error), count)

    def began(self) -> None:
        """A worker thread took up an attempt; `processed` or `skipped` must follow."""
        if self.listening:
            self.utilisation.enter()

    def skipped(self) -> None:
        """An attempt that began was vetoed before its stage ran."""
        if self.listening:
            self.utilisation.leave()

    def processed(
        self, queue: str, stage: str, outcome: str, run_ms: float, error: str | None = None
    ) -> None:
        """An attempt ended.

        Args:
            queue: Name of the queue it came from.
            stage: Name of the stage.
            outcome: `done`, `retry`, `dead`, `snoozed` or `cancelled`.
            run_ms: Time inside the stage, without the wait before it.
            error: Type of the failure, if it failed.
        """
        if not self.listening:
            return
        self.utilisation.leave()
        key = (queue, stage, outcome, error)
        self._count(names.CONSUMED_MESSAGES, key)
        self._duration.record(run_ms / 1_000, self._bound(key))
        if outcome == "done":
            self._count(names.JOBS_PROCESSED, key)
        elif outcome == "dead":
            self._count(names.JOBS_FAILED, key)

    def died(self, queue: str, stage: str, reason: str) -> None:
        """A message became a dead letter."""
        if self.listening:
            self._count(names.DEAD_LETTERS, (queue, stage, reason, None))

    def claimed(self, queue: str, stage: str, hit: bool) -> None:
        """An idempotency key was asked for: a `hit` found an earlier run."""
        if self.listening:
            self._count(names.IDEMPOTENCY_CLAIMS, (queue, stage, "hit" if hit else "new", None))

    def sampled(self, queue: str, state: str, depth: int, oldest_ms: int = 0) -> None:
        """Queue `queue` was found with `depth` messages in `state` (`waiting`, `running`, ...).

        `oldest_ms` is the age of the oldest of them. A sample is reported until it is 90 s old,
        so a process that lost the leadership falls silent.
        """
        self._samples[queue, state] = (self._monotonic(), depth, oldest_ms)

    # --- instruments ---------------------------------------------------------------------------

    def _create(self, meter: metrics.Meter) -> None:
        for name, unit, description in _COUNTERS:
            meter.create_observable_counter(name, [partial(self._totals, name)], unit, description)
        self._duration = meter.create_histogram(
            names.PROCESS_DURATION,
            "s",
            "Time inside a stage",
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS_S,
        )
        self._create_gauges(meter)

    def _create_gauges(self, meter: metrics.Meter) -> None:
        meter.create_observable_gauge(
            names.QUEUE_DEPTH, [self._observe_depth], "{message}", "Messages in a queue by state"
        )
        meter.create_observable_gauge(
            names.QUEUE_AGE, [self._observe_age], "s", "Age of a queue's oldest message by state"
        )
        meter.create_observable_gauge(
            names.WORKER_UTILISATION,
            [self._observe_utilisation],
            "1",
            "Share of worker thread time spent in attempts",
        )

    def _observe_depth(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(depth, where) for where, depth, _ in self._fresh()]

    def _observe_age(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(oldest_ms / 1_000, where) for where, _, oldest_ms in self._fresh()]

    def _observe_utilisation(self, _options: CallbackOptions) -> Iterable[Observation]:
        self.listening = True  # somebody collects, so somebody listens
        share = self.utilisation.take()
        return [] if share is None else [Observation(share)]

    def _fresh(self) -> Iterator[tuple[_Attributes, int, int]]:
        oldest_s = self._monotonic() - _SAMPLE_FRESH_S
        for (queue, state), (at_s, depth, oldest_ms) in list(self._samples.items()):
            if at_s < oldest_s:
                self._samples.pop((queue, state), None)
            else:
                yield {names.DESTINATION: queue, names.STATE: state}, depth, oldest_ms

    # --- totals --------------------------------------------------------------------------------

    def _count(self, name: str, key: _Key, by: int = 1) -> None:
        with self._lock:
            totals = self._counts[name]
            if key not in totals and len(totals) >= _SERIES_KEPT:
                key = (_OVERFLOW, _OVERFLOW, None, None)
            totals[key] = totals.get(key, 0) + by

    def _totals(self, name: str, _options: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            totals = list(self._counts[name].items())
        return [Observation(total, _attributes(name, key)) for key, total in totals]

    def _bound(self, key: _Key) -> _Attributes:
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _SERIES_KEPT:
                self._cache.clear()
            found = self._cache[key] = _attributes(names.PROCESS_DURATION, key)
        return found


def _attributes(name: str, key: _Key) -> _Attributes:
    queue, stage, third, error = key
    attributes = {names.DESTINATION: queue, names.STAGE: stage}
    if third is not None:
        attributes[_THIRD.get(name, names.OUTCOME)] = third
    if error is not None:
        attributes[names.ERROR_TYPE] = error
    operation = _OPERATIONS.get(name)
    if operation is not None:
        attributes[names.MESSAGING_SYSTEM] = names.SYSTEM
        attributes[names.OPERATION_NAME] = operation
    return attributes
