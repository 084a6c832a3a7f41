"""Looking and acting on a real store: runs, queues, tenants, dead letters, followed runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dramatiq import Worker

from engine import Pipeline, Retry, stage
from engine.bootstrap import Engine
from engine.control import inspect, operate
from engine.control.doctor import Grade, examine, examine_work, worst
from engine.control.follow import Follower
from engine.control.search import UnknownState
from engine.errors import DeadLetterNotFound, OptionInvalid, RunNotFound, UnknownQueue
from engine.store.server import look_at
from tests.servers import ThrowawayServer


def eventually(look: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_runs_are_listed_newest_first_and_filtered(engine: Engine, worker: Worker) -> None:
    @stage
    def add(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n + 1

    flow = Pipeline("adding", add)
    add.retry = Retry(attempts=1)
    worker.start()
    runs = [flow.start(n, tenant="acme" if n % 2 else "globex") for n in range(5)]
    for run in runs:
        run.wait("10s")
    time.sleep(0.01)  # runs of one millisecond have no order
    add.send(9).wait("10s")
    listed = inspect.runs(engine.store)
    assert [one.pipeline for one in listed] == ["add"] + ["adding"] * 5
    started = [one.started_at_ms for one in listed]
    assert started == sorted(started, reverse=True)
    assert {one.id for one in listed[1:]} == {run.id for run in runs}
    failed = inspect.runs(engine.store, pipeline="adding", state="failed", tenant="acme")
    assert [one.id for one in failed] == [runs[3].id]
    assert inspect.runs(engine.store, tenant="nobody") == []
    with pytest.raises(UnknownState, match="Did you mean 'failed'"):
        inspect.runs(engine.store, state="faild")
    assert inspect.run(engine.store, runs[0].id).state == "completed"
    with pytest.raises(RunNotFound):
        inspect.run(engine.store, "0" * 32)


def test_a_paused_queue_keeps_its_messages_and_a_resumed_one_hands_them_out(
    engine: Engine, worker: Worker
) -> None:
    @stage(queue="letters")
    def read() -> int:
        return 1

    run = read.send()
    run.cancel()
    assert operate.pause(engine.store, "letters")
    assert not operate.pause(engine.store, "letters")
    waiting = read.send(tenant="acme")
    worker.start()
    eventually(lambda: inspect.workers(engine.store))
    time.sleep(0.3)
    [view] = inspect.queues(engine.store)
    assert (view.paused, view.workers, view.waiting >= 1) == (True, 1, True)
    assert operate.resume(engine.store, "letters")
    assert waiting.result("10s") == 1
    with pytest.raises(UnknownQueue, match="Did you mean 'letters'"):
        operate.pause(engine.store, "leters")


def test_limits_are_set_listed_and_cleared(engine: Engine) -> None:
    operate.limit(engine.store, "acme", max_concurrent=2, weight=3)
    operate.limit(engine.store, "*", max_per_minute=60)
    found = {view.tenant: view.limits for view in inspect.tenants(engine.store)}
    assert found["acme"] is not None
    assert (found["acme"].max_concurrent, found["acme"].max_per_minute, found["acme"].weight) == (
        2,
        None,
        3,
    )
    assert found["*"] is not None
    assert found["*"].max_per_minute == 60
    operate.clear_limits(engine.store, "acme")
    assert [view.tenant for view in inspect.tenants(engine.store)] == ["*"]
    with pytest.raises(OptionInvalid, match="weight"):
        operate.limit(engine.store, "acme", weight=11)


def test_dead_letters_are_listed_shown_redriven_and_purged(engine: Engine, worker: Worker) -> None:
    broken = {"yes"}

    @stage(queue="fragile", retry=Retry(attempts=2, base="1ms"))
    def fragile(n: int) -> int:
        if broken:
            raise ValueError(f"no {n}")
        return n

    worker.start()
    runs = [fragile.send(n) for n in range(3)]
    for run in runs:
        run.wait("10s")
    letters = inspect.letters(engine.store, queue="fragile")
    assert len(letters) == 3
    story = inspect.story_of(inspect.letter(engine.store, letters[0].message))
    assert story["attempt"] == 2
    assert story["story"]["type"] == "ValueError"
    assert len(story["errors"]) >= 1
    broken.clear()
    operate.redrive(engine.store, letters[0].message)
    operate.purge_one(engine.store, letters[1].message)
    assert operate.redrive_all(engine.store, "fragile") == operate.Redriven(1, {})
    eventually(lambda: inspect.letters(engine.store) == [])
    eventually(lambda: sorted(run.status() for run in runs) == ["completed", "completed", "failed"])
    with pytest.raises(DeadLetterNotFound):
        operate.redrive(engine.store, letters[1].message)
    with pytest.raises(DeadLetterNotFound):
        operate.purge_one(engine.store, letters[1].message)
    assert operate.purge(engine.store, "fragile") == 0


def test_followed_runs_are_counted_once_each_however_they_end(
    engine: Engine, worker: Worker
) -> None:
    @stage(retry=Retry(attempts=1))
    def odd(n: int) -> int:
        if n % 2 == 0:
            raise ValueError("even")
        return n

    flow = Pipeline("oddly", odd)
    follower = Follower(engine.store)
    worker.start()
    runs = flow.start_many(list(range(40)), keys=[f"k{n}" for n in range(40)])
    follower.add(run.id for run in runs)
    assert follower.until_ended(lambda: None, timeout_ms=10_000)
    assert follower.states == {"completed": 20, "failed": 20}
    assert follower.lost == []
    assert follower.stages["odd"].run.count == 20

    again = flow.start_many(list(range(40)), keys=[f"k{n}" for n in range(40)])
    second = Follower(engine.store)
    second.add([], seen_before=[run.id for run in again])
    assert second.states == {"completed": 20, "failed": 20}
    second.add(["0" * 32])
    assert not second.until_ended(lambda: None, timeout_ms=1) or second.lost == ["0" * 32]
    assert second.lost == ["0" * 32]


def test_runs_that_no_event_tells_of_are_looked_up(engine: Engine, worker: Worker) -> None:
    @stage
    def quiet() -> None: ...

    worker.start()
    run = quiet.send()
    run.wait("10s")
    follower = Follower(engine.store)
    follower.add([run.id])
    assert follower.until_ended(lambda: None, timeout_ms=10_000)
    assert follower.states == {"completed": 1}


def test_the_doctor_finds_a_fit_store_and_says_who_is_missing(
    engine: Engine, server: ThrowawayServer
) -> None:
    @stage(queue="alone")
    def lonely() -> None: ...

    lonely.send()
    facts = look_at(server.url, namespace=engine.settings.namespace)
    assert facts.schema == "1"
    assert worst(examine(facts)) is not Grade.FAIL
    found = {(one.what, one.grade) for one in examine_work(engine.store)}
    assert ("workers", Grade.WARN) in found
    assert ("queue", Grade.WARN) in found
    assert ("scheduler", Grade.WARN) in found


def test_the_doctor_looks_at_a_server_that_is_unfit_for_work(server: ThrowawayServer) -> None:
    server.config_set(maxmemory_policy="allkeys-lru")
    try:
        facts = look_at(server.url, namespace="other")
    finally:
        server.config_set(maxmemory_policy="noeviction")
    unfit = [one.what for one in examine(facts) if one.grade is Grade.FAIL]
    assert unfit == ["maxmemory-policy"]
