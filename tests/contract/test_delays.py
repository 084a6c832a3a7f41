"""Delays, priorities and `join` on both brokers."""

from __future__ import annotations

import time
from typing import Any

import dramatiq
import pytest
from dramatiq import QueueJoinTimeout

from tests.contract.conftest import eventually, finish, running


def test_a_delayed_message_is_never_early_and_hardly_late(broker: Any) -> None:
    ran: dict[int, float] = {}

    @dramatiq.actor
    def note(delay: int) -> None:
        ran[delay] = time.monotonic()

    with running(broker) as worker:
        began = time.monotonic()
        for delay in (600, 200, 400):
            note.send_with_options(args=(delay,), delay=delay)
        finish(broker, worker)
    assert list(ran) == [200, 400, 600]
    for delay, at in ran.items():
        assert delay / 1000 <= at - began <= delay / 1000 + 1.0


def test_a_delayed_message_does_not_hold_up_others(broker: Any) -> None:
    ran: list[str] = []

    @dramatiq.actor
    def note(what: str) -> None:
        ran.append(what)

    with running(broker, threads=1):
        for _ in range(5):
            note.send_with_options(args=("late",), delay=60_000)
        note.send("now")
        eventually(lambda: ran, 3.0)
    assert ran == ["now"]


def test_join_waits_for_delayed_messages(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def note() -> None:
        ran.append(1)

    with running(broker) as worker:
        note.send_with_options(delay=300)
        finish(broker, worker)
        assert ran == [1]


def test_join_waits_for_what_a_message_sends_with_a_delay(broker: Any) -> None:
    ran: list[str] = []

    @dramatiq.actor
    def second() -> None:
        ran.append("second")

    @dramatiq.actor
    def first() -> None:
        second.send_with_options(delay=300)
        ran.append("first")

    with running(broker, threads=1) as worker:
        first.send()
        finish(broker, worker)
    assert ran == ["first", "second"]


def test_join_gives_up_after_its_timeout(broker: Any) -> None:
    @dramatiq.actor
    def unused() -> None: ...

    unused.send()
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=200)


def test_flush_drops_waiting_and_delayed_messages(broker: Any) -> None:
    ran: list[str] = []

    @dramatiq.actor
    def note(what: str) -> None:
        ran.append(what)

    note.send("waiting")
    note.send_with_options(args=("delayed",), delay=100)
    broker.flush("default")
    note.send("after")
    with running(broker) as worker:
        finish(broker, worker)
        time.sleep(0.3)
    assert ran == ["after"]


def test_the_lower_priority_number_goes_first(broker: Any) -> None:
    ran: list[str] = []

    @dramatiq.actor(priority=10)
    def later() -> None:
        ran.append("later")

    @dramatiq.actor(priority=0)
    def sooner() -> None:
        ran.append("sooner")

    @dramatiq.actor(priority=0)
    def block() -> None:
        time.sleep(0.5)

    with running(broker, threads=1, prefetch=20) as worker:
        block.send()
        time.sleep(0.15)  # it is at work, and the rest waits in the worker or in the store
        for _ in range(3):
            later.send()
            sooner.send()
        finish(broker, worker)
    assert ran == ["sooner"] * 3 + ["later"] * 3


def test_messages_of_one_priority_keep_their_order(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def note(n: int) -> None:
        ran.append(n)

    for n in range(50):
        note.send(n)
    with running(broker, threads=1) as worker:
        finish(broker, worker)
    assert ran == list(range(50))
