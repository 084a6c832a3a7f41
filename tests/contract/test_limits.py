"""Stock TimeLimit, AgeLimit and rate limiters on both brokers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.middleware import AgeLimit, Retries, TimeLimit, TimeLimitExceeded
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter

from tests.contract.conftest import finish, running


def test_an_actor_over_its_time_limit_is_interrupted(make: Callable[..., Any]) -> None:
    broker = make(middleware=[TimeLimit(interval=20)])
    ended: list[str] = []

    @dramatiq.actor(time_limit=100)
    def slow() -> None:
        try:
            for _ in range(300):
                time.sleep(0.01)
        except TimeLimitExceeded:
            ended.append("interrupted")
            raise
        ended.append("done")

    with running(broker) as worker:
        slow.send()
        finish(broker, worker)
    assert ended == ["interrupted"]


def test_a_worker_thread_goes_on_after_an_interrupt(make: Callable[..., Any]) -> None:
    broker = make(middleware=[TimeLimit(interval=20)])
    done: list[int] = []

    @dramatiq.actor(time_limit=100)
    def slow() -> None:
        for _ in range(300):
            time.sleep(0.01)

    @dramatiq.actor
    def quick() -> None:
        done.append(1)

    with running(broker, threads=1) as worker:
        slow.send()
        quick.send()
        finish(broker, worker)
    assert done == [1]


def test_a_message_over_its_age_limit_is_skipped(make: Callable[..., Any]) -> None:
    broker = make(middleware=[AgeLimit()])
    done: list[str] = []

    @dramatiq.actor
    def note(what: str) -> None:
        done.append(what)

    note.send_with_options(args=("old",), max_age=50)
    note.send_with_options(args=("young",), max_age=60_000)
    time.sleep(0.1)
    with running(broker) as worker:
        finish(broker, worker)
    assert done == ["young"]


def test_a_concurrent_rate_limiter_bounds_actors(broker: Any, rate_limits: Any) -> None:
    mutex = ConcurrentRateLimiter(rate_limits, f"mutex-{uuid.uuid4()}", limit=1)
    lock, at_work, most = threading.Lock(), [0], [0]

    @dramatiq.actor(max_retries=100, min_backoff=10, max_backoff=50)
    def alone() -> None:
        with mutex.acquire():
            with lock:
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
            time.sleep(0.02)
            with lock:
                at_work[0] -= 1

    with running(broker) as worker:
        for _ in range(6):
            alone.send()
        finish(broker, worker)
    assert most == [1]


def test_a_message_over_its_rate_is_retried(make: Callable[..., Any], rate_limits: Any) -> None:
    broker = make(middleware=[Retries(min_backoff=200, max_backoff=500)])
    window = WindowRateLimiter(rate_limits, f"window-{uuid.uuid4()}", limit=2, window=1)
    done: list[float] = []

    @dramatiq.actor
    def limited() -> None:
        with window.acquire():
            done.append(time.monotonic())

    with running(broker) as worker:
        for _ in range(4):
            limited.send()
        finish(broker, worker)
    assert len(done) == 4
