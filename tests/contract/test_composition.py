"""Stock Callbacks, `pipeline`, `group` and GroupCallbacks on both brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq import group, pipeline
from dramatiq.middleware import GroupCallbacks
from dramatiq.results import Results

from tests.contract.conftest import eventually, finish, running


def test_success_and_failure_call_their_actors(broker: Any) -> None:
    told: list[tuple[str, Any]] = []

    @dramatiq.actor
    def succeeded(message: dict[str, Any], result: Any) -> None:
        told.append((message["actor_name"], result))

    @dramatiq.actor
    def failed(message: dict[str, Any], error: dict[str, Any]) -> None:
        told.append((message["actor_name"], error["type"]))

    @dramatiq.actor(max_retries=0)
    def divide(a: int, b: int) -> float:
        return a / b

    with running(broker) as worker:
        divide.send_with_options(args=(6, 3), on_success=succeeded, on_failure=failed)
        divide.send_with_options(args=(6, 0), on_success=succeeded, on_failure=failed)
        finish(broker, worker)
    assert sorted(told, key=str) == [("divide", "ZeroDivisionError"), ("divide", 2.0)]


def test_a_pipeline_hands_results_on_across_queues(broker: Any) -> None:
    seen: list[int] = []

    @dramatiq.actor(queue_name="left")
    def double(n: int) -> int:
        return n * 2

    @dramatiq.actor(queue_name="right")
    def add(n: int, more: int) -> int:
        seen.append(n + more)
        return n + more

    with running(broker) as worker:
        # A piped result comes behind the message's own arguments.
        pipeline([double.message(5), add.message(1), double.message(), add.message(3)]).run()
        eventually(lambda: len(seen) == 2)
        finish(broker, worker, "left", "right")
    assert seen == [11, 25]


def test_a_pipeline_runs_every_stage_once(broker: Any) -> None:
    seen: list[tuple[int, int]] = []

    @dramatiq.actor
    def step(depth: int, previous: tuple[int, int] | None = None) -> tuple[int, int]:
        n = depth if previous is None else previous[0]
        seen.append((n, depth if previous is not None else 0))
        return (n, depth)

    with running(broker) as worker:
        for n in range(20):
            pipeline([step.message(n), *(step.message(d) for d in (1, 2, 3, 4))]).run()
        eventually(lambda: len(seen) >= 100)
        finish(broker, worker)
    assert sorted(seen) == [(n, d) for n in range(20) for d in range(5)]


def test_pipe_ignore_drops_the_result(broker: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    @dramatiq.actor
    def note(*args: Any) -> str:
        seen.append(args)
        return "result"

    with running(broker) as worker:
        pipeline(
            [
                note.message(1),
                note.message_with_options(args=(2,), pipe_ignore=True),
                note.message(),
            ]
        ).run()
        eventually(lambda: len(seen) == 3)
        finish(broker, worker)
    assert seen == [(1,), (2,), ("result",)]


def test_a_delayed_pipeline_starts_late(broker: Any) -> None:
    seen: list[float] = []

    @dramatiq.actor
    def note(*_: Any) -> None:
        seen.append(time.monotonic())

    with running(broker) as worker:
        began = time.monotonic()
        pipeline([note.message(), note.message_with_options(delay=300)]).run(delay=300)
        eventually(lambda: len(seen) == 2)
        finish(broker, worker)
    assert seen[0] - began >= 0.3
    assert seen[1] - seen[0] >= 0.3


def test_a_failed_stage_ends_its_pipeline(broker: Any) -> None:
    seen: list[str] = []

    @dramatiq.actor(max_retries=1, min_backoff=10, max_backoff=10)
    def fail() -> None:
        seen.append("fail")
        raise RuntimeError("always")

    @dramatiq.actor
    def never(_: Any) -> None:
        seen.append("never")

    with running(broker) as worker:
        pipeline([fail.message(), never.message()]).run()
        finish(broker, worker)
        time.sleep(0.1)
    assert seen == ["fail", "fail"]


def test_a_retried_stage_hands_on_once(broker: Any) -> None:
    tries: list[int] = []
    seen: list[int] = []

    @dramatiq.actor(min_backoff=10, max_backoff=10)
    def fail_once() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the first time")
        return 42

    @dramatiq.actor
    def note(n: int) -> None:
        seen.append(n)

    with running(broker) as worker:
        pipeline([fail_once.message(), note.message()]).run()
        eventually(lambda: seen)
        finish(broker, worker)
    assert seen == [42]


def test_a_group_can_be_waited_for_and_read(make: Callable[..., Any], results: Any) -> None:
    broker = make(extra=[Results(backend=results)])

    @dramatiq.actor(store_results=True)
    def square(n: int) -> int:
        return n * n

    with running(broker):
        work = group([square.message(n) for n in range(10)]).run()
        work.wait(timeout=10_000)
        assert work.completed
        assert list(work.get_results()) == [n * n for n in range(10)]


def test_a_group_calls_back_once_when_all_are_done(
    make: Callable[..., Any], rate_limits: Any
) -> None:
    broker = make(extra=[GroupCallbacks(rate_limits)])
    done: list[int] = []
    called: list[int] = []

    @dramatiq.actor
    def member(n: int) -> None:
        done.append(n)

    @dramatiq.actor
    def all_done(_: str) -> None:
        called.append(len(done))

    with running(broker) as worker:
        work = group([member.message(n) for n in range(25)])
        work.add_completion_callback(all_done.message("x"))
        work.run()
        eventually(lambda: called)
        finish(broker, worker)
    assert called == [25]


def test_a_group_of_pipelines_calls_back_after_the_last_stage(
    make: Callable[..., Any], rate_limits: Any
) -> None:
    broker = make(extra=[GroupCallbacks(rate_limits)])
    done: list[int] = []
    called: list[int] = []

    @dramatiq.actor
    def step(n: int) -> int:
        done.append(n)
        return n

    @dramatiq.actor
    def all_done() -> None:
        called.append(len(done))

    with running(broker) as worker:
        work = group(
            [pipeline([step.message(n), step.message(), step.message()]) for n in range(5)]
        )
        work.add_completion_callback(all_done.message())
        work.run()
        eventually(lambda: called)
        finish(broker, worker)
    assert called == [15]
