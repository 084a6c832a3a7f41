"""Why a run is not running now, for every cause that can hold it up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from dramatiq import Worker

from engine import Context, Pipeline, Retry, each, stage
from engine.bootstrap import Engine
from engine.control import operate
from engine.control.why import Reason
from engine.errors import RunNotFound
from engine.store.entries import Outgoing
from tests.integration.control.commands import call, told
from tests.integration.control.test_control import eventually


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Stages that wait for it go on when the test is over at the latest."""
    event = threading.Event()
    yield event
    event.set()


def reasons(engine: Engine, run: str) -> dict[str, str]:
    return {one.stage: one.code for one in engine.control.why(run).reasons}


def only(engine: Engine, run: str) -> Reason:
    [reason] = engine.control.why(run).reasons
    return reason


def test_a_run_waits_for_a_worker_a_resumed_queue_or_its_turn(
    engine: Engine, worker: Worker, gate: threading.Event
) -> None:
    @stage(queue="letters")
    def read(n: int) -> int:
        gate.wait(10)
        return n

    run = read.send(0)
    alone = only(engine, run.id)
    assert (alone.code, "callboard worker -Q letters" in alone.told) == ("no_worker", True)
    operate.pause(engine.store, "letters")
    assert only(engine, run.id).code == "queue_paused"
    operate.resume(engine.store, "letters")
    worker.start()
    eventually(lambda: only(engine, run.id).code == "running")
    assert "process" in only(engine, run.id).told
    others = [read.send(n) for n in range(200)]
    last = only(engine, others[-1].id)
    assert (last.code, last.until_ms) == ("turn", None)
    assert "messages of tenant 'default' go before it" in last.told
    assert engine.control.why(others[-1].id).told.startswith("it is not running: ")
    gate.set()
    assert run.wait("10s") == "completed"
    assert engine.control.why(run.id).told == "it is over: completed"
    assert engine.control.why(run.id).reasons == []


def test_a_tenant_waits_for_a_slot_or_for_a_token_and_its_time_is_told(
    engine: Engine, worker: Worker, gate: threading.Event
) -> None:
    @stage
    def hold(n: int) -> int:
        gate.wait(10)
        return n

    @stage
    def quick(n: int) -> int:
        return n

    operate.limit(engine.store, "slots", max_concurrent=1)
    operate.limit(engine.store, "rates", max_per_minute=1)
    worker.start()
    first, second = hold.send(0, tenant="slots"), hold.send(1, tenant="slots")
    eventually(lambda: only(engine, second.id).code == "tenant_slot")
    assert "1 attempts at once (1 now)" in only(engine, second.id).told
    quick.send(0, tenant="rates").wait("10s")
    late = quick.send(1, tenant="rates")
    eventually(lambda: only(engine, late.id).code == "tenant_rate")
    until = only(engine, late.id).until_ms
    assert until is not None
    assert 0 < until - engine.store.queues.now_ms() <= 60_000
    gate.set()
    assert first.wait("10s") == second.wait("10s") == "completed"


def test_a_queue_at_its_limit_is_told(
    engine: Engine, worker: Worker, gate: threading.Event
) -> None:
    @stage(queue="narrow")
    def hold(n: int) -> int:
        gate.wait(10)
        return n

    worker.start()
    runs = [hold.send(n) for n in range(3)]
    eventually(lambda: "running" in {only(engine, run.id).code for run in runs})
    keys = engine.store.links.keys
    engine.store.links.command("HSET", keys.name("queue", queue="narrow"), "limit", 1)
    late = hold.send(9)
    assert only(engine, late.id).code == "queue_limit"
    assert "its limit is 1" in only(engine, late.id).told


def test_a_retry_tells_its_attempt_its_time_and_what_went_wrong(
    engine: Engine, worker: Worker
) -> None:
    @stage(retry=Retry(attempts=7, base="1h"))
    def flaky(n: int) -> int:
        raise ValueError("try later")

    worker.start()
    run = flaky.send(1)
    eventually(lambda: only(engine, run.id).code == "retry")
    reason = only(engine, run.id)
    assert "attempt 2 of 7 is due, after ValueError: try later" in reason.told
    assert reason.until_ms is not None
    assert reason.until_ms > engine.store.queues.now_ms()


def test_a_delay_and_a_sleep_tell_when_they_end(engine: Engine, worker: Worker) -> None:
    @stage
    def first(n: int) -> int:
        return n

    run = first.send(1, delay="1h")
    reason = only(engine, run.id)
    assert (reason.code, reason.until_ms is not None) == ("delayed", True)
    assert engine.control.why(run.id).told.endswith("put itself off")


def test_an_unknown_stage_is_told_by_its_name(engine: Engine, worker: Worker) -> None:
    @stage
    def known(n: int) -> int:
        return n

    @stage
    def lost(n: int) -> int:
        return n

    worker.broker.actors.pop("lost")
    worker.start()
    run = lost.send(1)
    eventually(lambda: only(engine, run.id).code == "unknown_stage")
    assert "'lost'" in only(engine, run.id).told


def test_a_join_tells_whom_it_waits_for(
    engine: Engine, worker: Worker, gate: threading.Event
) -> None:
    @stage
    def slow(n: int) -> int:
        gate.wait(10)
        return n

    @stage
    def quick(n: int) -> int:
        return n

    @stage
    def meet(a: int, b: int) -> int:
        return a + b

    worker.start()
    run = Pipeline("meeting", (slow & quick) | meet).start(1)
    eventually(lambda: reasons(engine, run.id) == {"slow": "running", "meet": "join"})
    joined = engine.control.why(run.id).reasons[-1]
    assert joined.told == "waits for 1 of 2 results: slow"
    assert "running" in engine.control.why(run.id).told


def test_a_join_that_is_full_is_no_reason_while_its_successor_waits(
    engine: Engine, worker: Worker
) -> None:
    @stage
    def left(n: int) -> int:
        return n

    @stage
    def right(n: int) -> int:
        return n

    @stage(queue="elsewhere")
    def meet(a: int, b: int) -> int:
        return a + b

    operate_on = Pipeline("meeting", (left & right) | meet)
    worker.start()
    eventually(engine.store.queues.names)
    operate.pause(engine.store, "elsewhere")
    run = operate_on.start(1)
    eventually(lambda: reasons(engine, run.id) == {"meet": "queue_paused"})
    assert len(engine.control.why(run.id).reasons) == 1


def test_an_each_tells_the_items_under_way(
    engine: Engine, worker: Worker, gate: threading.Event
) -> None:
    @stage
    def spread(n: int) -> list[int]:
        return list(range(n))

    @stage
    def item(n: int) -> int:
        if n in {3, 4}:
            gate.wait(10)
        return n

    @stage
    def summed(ns: list[int]) -> int:
        return sum(ns)

    worker.start()
    run = Pipeline("spreading", spread | each(item, window=2) | summed).start(9)
    eventually(
        lambda: (
            [one.code for one in engine.control.why(run.id).reasons]
            == ["running", "running", "join"]
        )
    )
    found = engine.control.why(run.id).reasons
    assert {one.position.partition(".")[2] for one in found[:2]} == {"3", "4"}
    assert found[2].told == "waits for 6 of 9 results: items 3, 4, 5, 6, 7, 8"


def test_a_failed_run_tells_of_what_it_died(engine: Engine, worker: Worker) -> None:
    @stage(retry=Retry(attempts=1))
    def fragile(n: int) -> int:
        raise ValueError("it is broken")

    worker.start()
    run = fragile.send(1)
    run.wait("10s")
    reason = only(engine, run.id)
    assert reason.code == "dead"
    assert "attempts_exhausted: ValueError: it is broken" in reason.told
    operate.purge(engine.store, "default")
    assert "replay it" in engine.control.why(run.id).told
    with pytest.raises(RunNotFound):
        engine.control.why("0" * 32)


def test_the_bodies_of_others_are_not_looked_at(engine: Engine) -> None:
    """Ten thousand messages of others before it cost the answer nothing."""

    @stage
    def quiet(n: int) -> int:
        return n

    for start in range(0, 2_000, 200):
        others = [
            Outgoing(f"m{n}", "default", "default", 9, 1, 0, b"{}")
            for n in range(start, start + 200)
        ]
        engine.store.transit.enqueue(f"call-{start}", others)
    run = quiet.send(1)
    before = commands_run(engine)
    engine.control.why(run.id)
    assert commands_run(engine) - before < 40


def commands_run(engine: Engine) -> int:
    info = engine.store.links.command("INFO", "stats").decode()
    return int(info.split("total_commands_processed:")[1].split("\r\n")[0])


def test_the_command_says_it_to_people_and_machines(commands: Engine) -> None:
    @stage(queue="letters")
    def read(n: int) -> int:
        return n

    run = read.send(1, delay="1h")
    assert "it is not running: it was started with a delay" in call("why", run.id)
    [found] = told("why", run.id[:31])
    assert found["reasons"][0]["code"] == "delayed"
    assert found["reasons"][0]["until_ms"] > 0


def test_progress_is_shown_while_its_stage_runs_and_no_longer(
    commands: Engine, worker: Worker, gate: threading.Event
) -> None:
    @stage
    def first(n: int, ctx: Context) -> list[int]:
        ctx.progress(n, n)
        return [n]

    @stage
    def long(n: int, ctx: Context) -> int:
        ctx.progress(3, 10)
        gate.wait(10)
        return n

    @stage
    def summed(ns: list[int]) -> int:
        return sum(ns)

    worker.start()
    run = Pipeline("longish", first | each(long) | summed).start(1, attributes={"order": "A-17"})
    eventually(lambda: "long 0  at 3/10" in call("show", run.id))
    shown = call("show", run.id)
    assert "at 1/1" not in shown
    assert "order=A-17" in shown
    assert "progress 3/10" in only_running(commands, run.id).told
    gate.set()
    run.wait("10s")
    assert "3/10" not in call("show", run.id)
    assert run.view().progress == {"0": "1/1", "2.0": "3/10"}


def only_running(engine: Engine, run: str) -> Reason:
    [reason] = [one for one in engine.control.why(run).reasons if one.code == "running"]
    return reason
