"""What a worker leaves behind when it stops, on both brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.middleware import Retries, Shutdown, ShutdownNotifications

from tests.contract.conftest import eventually, finish, running


def test_a_stopped_worker_gives_back_what_it_has_not_begun(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def slow(n: int) -> None:
        ran.append(n)
        time.sleep(0.3)

    for n in range(6):
        slow.send(n)
    with running(broker, threads=1):
        eventually(lambda: ran)
    before = len(ran)
    assert before < 6
    with running(broker, threads=4) as worker:
        finish(broker, worker)
    assert sorted(ran) == list(range(6))


def test_a_delayed_message_outlives_the_worker_that_saw_it(broker: Any) -> None:
    ran: list[float] = []

    @dramatiq.actor
    def note() -> None:
        ran.append(time.monotonic())

    with running(broker):
        began = time.monotonic()
        note.send_with_options(delay=800)
        time.sleep(0.3)
    with running(broker) as worker:
        finish(broker, worker)
    assert len(ran) == 1
    assert ran[0] - began >= 0.8


def test_a_running_message_ends_before_the_worker_does(broker: Any) -> None:
    ran: list[str] = []

    @dramatiq.actor
    def slow() -> None:
        ran.append("began")
        time.sleep(0.5)
        ran.append("ended")

    with running(broker):
        slow.send()
        eventually(lambda: ran)
    assert ran == ["began", "ended"]
    broker.join("default", timeout=2_000)  # acknowledged, not given back


def test_a_message_that_asked_is_told_of_the_shutdown(make: Callable[..., Any]) -> None:
    told_by = ShutdownNotifications(notify_shutdown=False)
    broker = make(middleware=[told_by, Retries(min_backoff=1_000, max_backoff=1_000)])
    ran: list[str] = []

    @dramatiq.actor(notify_shutdown=True, max_retries=3)
    def long() -> None:
        if "told" in ran:
            ran.append("again")
            return
        ran.append("began")
        try:
            for _ in range(500):
                time.sleep(0.01)
        except Shutdown:
            ran.append("told")
            raise

    with running(broker):
        long.send()
        eventually(lambda: ran)
    assert ran == ["began", "told"]
    with running(broker) as worker:
        finish(broker, worker)
    assert ran == ["began", "told", "again"]
