"""What is counted, under which names, and that silence is free."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from engine.telemetry.instruments import Instruments
from engine.telemetry.utilisation import Utilisation


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def instruments(reader: InMemoryMetricReader, clock: Clock) -> Instruments:
    return Instruments(MeterProvider([reader], shutdown_on_exit=False), clock)


def collected(reader: InMemoryMetricReader) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    data = reader.get_metrics_data()
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    if data is None:
        return found
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = [
                    (
                        getattr(point, "value", getattr(point, "sum", 0)),
                        dict(point.attributes or {}),
                    )
                    for point in metric.data.data_points
                ]
    return found


def test_an_attempt_is_counted_and_timed_in_seconds(
    instruments: Instruments, reader: InMemoryMetricReader
) -> None:
    instruments.sent("ingress-events", "parse", 3)
    instruments.began()
    instruments.processed("ingress-events", "parse", "done", 250)
    seen = collected(reader)
    assert seen["messaging.client.sent.messages"][0][0] == 3
    assert seen["messaging.client.consumed.messages"][0][0] == 1
    assert seen["messaging.process.duration"] == [
        (
            0.25,
            {
                "messaging.system": "dramatiq",
                "messaging.operation.name": "process",
                "messaging.destination.name": "ingress-events",
                "callboard.stage": "parse",
                "callboard.outcome": "done",
            },
        )
    ]
    assert seen["callboard.jobs.processed"][0][0] == 1
    assert not seen.get("callboard.jobs.failed")


def test_a_death_is_a_failed_job_and_a_retry_is_neither(
    instruments: Instruments, reader: InMemoryMetricReader
) -> None:
    instruments.processed("q", "s", "retry", 1, "TimeoutError")
    instruments.processed("q", "s", "dead", 1, "TimeoutError")
    instruments.died("q", "s", "max_attempts")
    seen = collected(reader)
    assert seen["callboard.jobs.failed"][0][0] == 1
    assert not seen.get("callboard.jobs.processed")
    assert seen["callboard.dead_letters"][0][1]["callboard.reason"] == "max_attempts"
    kinds = [point[1]["error.type"] for point in seen["messaging.client.consumed.messages"]]
    assert kinds == ["TimeoutError", "TimeoutError"]


def test_idempotency_hits_are_told_from_new_claims(
    instruments: Instruments, reader: InMemoryMetricReader
) -> None:
    for hit in (True, False, True):
        instruments.claimed("q", "s", hit)
    points = collected(reader)["callboard.idempotency.claims"]
    assert {point[1]["callboard.idempotency.result"]: point[0] for point in points} == {
        "hit": 2,
        "new": 1,
    }


def test_a_queue_sample_is_reported_until_it_is_stale(
    instruments: Instruments, reader: InMemoryMetricReader, clock: Clock
) -> None:
    instruments.sampled("ingress-events", "waiting", 12, 3_500)
    seen = collected(reader)
    where = {"messaging.destination.name": "ingress-events", "callboard.state": "waiting"}
    assert seen["callboard.queue.depth"] == [(12, where)]
    assert seen["callboard.queue.age"] == [(3.5, where)]
    clock.now_s += 91
    assert "callboard.queue.depth" not in collected(reader)


def test_utilisation_counts_attempts_that_have_not_ended(clock: Clock) -> None:
    utilisation = Utilisation(clock)
    assert utilisation.take() is None
    utilisation.set_threads(4)
    utilisation.enter()
    utilisation.enter()
    clock.now_s += 10
    assert utilisation.take() == pytest.approx(0.5)
    utilisation.leave()
    clock.now_s += 10
    assert utilisation.take() == pytest.approx(0.25)


def test_utilisation_never_goes_below_idle(clock: Clock) -> None:
    utilisation = Utilisation(clock)
    utilisation.set_threads(1)
    utilisation.leave()
    utilisation.enter()
    clock.now_s += 1
    assert utilisation.take() == pytest.approx(1.0)


def test_without_a_meter_provider_nothing_listens_and_nothing_is_kept() -> None:
    silent = Instruments(NoOpMeterProvider())
    silent.began()
    silent.processed("q", "s", "done", 1)
    silent.sent("q", "s")
    assert not silent.listening
    assert silent._cache == {}


def test_series_are_bounded_and_the_rest_is_still_counted(
    instruments: Instruments, reader: InMemoryMetricReader
) -> None:
    for number in range(5_000):
        instruments.sent("q", "s", error=f"Error{number}")
    totals = instruments._counts["messaging.client.sent.messages"]
    assert len(totals) <= 2_001
    assert sum(totals.values()) == 5_000
