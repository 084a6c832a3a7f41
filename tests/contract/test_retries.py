"""Stock Retries on both brokers: counts, delays, and each way to end them early."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import dramatiq
from dramatiq.errors import Retry
from dramatiq.middleware import CurrentMessage, Retries

from tests.contract.conftest import finish, running

QUICK = {"min_backoff": 20, "max_backoff": 40}


def test_a_message_is_tried_once_more_than_max_retries(broker: Any) -> None:
    tries: list[float] = []

    @dramatiq.actor(max_retries=2, **QUICK)
    def fail() -> None:
        tries.append(time.monotonic())
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
        time.sleep(0.2)
    assert len(tries) == 3


def test_a_message_is_done_once_a_try_succeeds(broker: Any) -> None:
    tries: list[int] = []

    @dramatiq.actor(max_retries=9, **QUICK)
    def fail_twice(n: int) -> None:
        tries.append(n)
        if len(tries) < 3:
            raise RuntimeError("not yet")

    with running(broker) as worker:
        fail_twice.send(7)
        finish(broker, worker)
    assert tries == [7, 7, 7]


def test_retries_wait_for_a_growing_back_off(broker: Any) -> None:
    tries: list[float] = []

    @dramatiq.actor(max_retries=2, min_backoff=200, max_backoff=10_000)
    def fail() -> None:
        tries.append(time.monotonic())
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
    first, second = (b - a for a, b in pairwise(tries))
    assert 0.1 <= first <= 2.0  # the jitter of stock Retries takes off up to a half
    assert 0.2 <= second <= 2.5


def test_an_expected_exception_is_not_retried(broker: Any) -> None:
    tries: list[int] = []

    @dramatiq.actor(throws=KeyError, max_retries=3, **QUICK)
    def fail() -> None:
        tries.append(1)
        raise KeyError("expected")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
        time.sleep(0.2)
    assert len(tries) == 1


def test_a_retry_error_says_when_to_come_back(broker: Any) -> None:
    tries: list[float] = []

    @dramatiq.actor(max_retries=3, **QUICK)
    def later() -> None:
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise Retry(delay=400)

    with running(broker) as worker:
        later.send()
        finish(broker, worker)
    assert len(tries) == 2
    assert 0.4 <= tries[1] - tries[0] <= 2.0


def test_retry_when_decides(broker: Any) -> None:
    tries: list[int] = []

    def only_value_errors(retries_so_far: int, error: Exception) -> bool:
        return retries_so_far < 1 and isinstance(error, RuntimeError)

    @dramatiq.actor(retry_when=only_value_errors, **QUICK)
    def fail() -> None:
        tries.append(1)
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
        time.sleep(0.2)
    assert len(tries) == 2


def test_the_exhausted_actor_is_told(broker: Any) -> None:
    told: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @dramatiq.actor
    def exhausted(message: dict[str, Any], info: dict[str, Any]) -> None:
        told.append((message, info))

    @dramatiq.actor(max_retries=1, on_retry_exhausted="exhausted", **QUICK)
    def fail(n: int) -> None:
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send(5)
        finish(broker, worker)
    [(message, info)] = told
    assert message["actor_name"] == "fail"
    assert message["args"] == [5]
    assert info["retries"] == 1
    assert info["max_retries"] == 1


def test_a_retried_message_keeps_its_id_and_tells_its_story(make: Callable[..., Any]) -> None:
    broker = make(extra=[CurrentMessage()])
    seen: list[Any] = []

    @dramatiq.actor(max_retries=1, **QUICK)
    def fail_once() -> None:
        seen.append(CurrentMessage.get_current_message())
        if len(seen) == 1:
            raise RuntimeError("the first time")

    with running(broker) as worker:
        sent = fail_once.send()
        finish(broker, worker)
    assert [one.message_id for one in seen] == [sent.message_id, sent.message_id]
    assert seen[1].options["retries"] == 1
    assert "the first time" in seen[1].options["traceback"]


def test_without_retries_a_failure_is_final(make: Callable[..., Any]) -> None:
    broker = make(middleware=[])
    tries: list[int] = []

    @dramatiq.actor
    def fail() -> None:
        tries.append(1)
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
        time.sleep(0.2)
    assert len(tries) == 1


def test_retries_given_to_the_middleware_hold_for_every_actor(make: Callable[..., Any]) -> None:
    broker = make(middleware=[Retries(max_retries=1, min_backoff=20, max_backoff=20)])
    tries: list[int] = []

    @dramatiq.actor
    def fail() -> None:
        tries.append(1)
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
    assert len(tries) == 2
