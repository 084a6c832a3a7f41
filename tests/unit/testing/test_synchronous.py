from __future__ import annotations

import threading
import time

import pytest

from engine import Pipeline, Retry, RunState, current, each, sleep, stage, wait_for
from engine.errors import IdempotentRunFailed, RunFailed, RunNotFound
from engine.testing import SynchronousEngine

QUICK = Retry(attempts=2, base="10ms")


@pytest.fixture
def service() -> SynchronousEngine:
    return SynchronousEngine(retry=QUICK, patience="1s")


@pytest.fixture(autouse=True)
def in_use(service, no_engine):
    with current.use(service):
        yield


@pytest.fixture
def double():
    @stage
    def double(x: int) -> int:
        return 2 * x

    return double


def test_the_start_does_the_work(double) -> None:
    run = Pipeline("p", each(double) | sleep("20ms")).start([1, 2])
    assert run.status() is RunState.COMPLETED
    assert run.result() == [2, 4]
    assert [r.result() for r in double.send_many([1, 2])] == [2, 4]


def test_retries_are_waited_for_and_a_failure_is_the_runs() -> None:
    calls = []

    @stage
    def broken(x: int) -> int:
        calls.append(time.monotonic())
        raise ValueError("no")

    run = broken.send(1, key="k")
    assert len(calls) == 2
    assert calls[1] - calls[0] >= 0.005
    with pytest.raises(RunFailed, match="no"):
        run.result()
    with pytest.raises(IdempotentRunFailed):
        broken.send(1, key="k")


def test_what_is_further_away_than_the_patience_is_left_for_later(service, double) -> None:
    service._patience_ms = 0
    run = Pipeline("p", sleep("30ms") | double).start(1)
    assert run.status() is RunState.RUNNING
    time.sleep(0.05)
    service.catch_up()
    assert run.result(timeout="1s") == 2


def test_a_signal_goes_on_at_once(service, double) -> None:
    run = Pipeline("p", wait_for("go", int) | double).start(0)
    assert run.status() is RunState.RUNNING
    assert service.signal(run.id, "go", b"4")
    assert run.status() is RunState.COMPLETED
    assert service.result(run.id) == b"8"


def test_a_repeated_key_gives_the_first_run(double) -> None:
    first, second = double.send(1, key="k"), double.send(1, key="k")
    assert (second.id, second.duplicate) == (first.id, True)


def test_threads_do_not_wait_for_each_other() -> None:
    both = threading.Barrier(2, timeout=10)

    @stage
    def meets(x: int) -> int:
        both.wait()
        return x

    threads = [threading.Thread(target=meets.send, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert both.broken is False


async def _awaited(double) -> int:
    return await (await double.asend(3))


def test_it_can_be_awaited(double) -> None:
    import asyncio

    assert asyncio.run(_awaited(double)) == 6


def test_an_unknown_run_is_not_found(service) -> None:
    with pytest.raises(RunNotFound):
        service.view("0" * 32)
