"""Runs found by what they are, when they were and what they were started with."""

from __future__ import annotations

import time
from typing import Any

import pytest
from dramatiq import Worker

from engine import Pipeline, Retry, stage
from engine.bootstrap import Engine
from engine.cli.filters import chosen_runs
from engine.control.search import RunFilter, run_filter, search
from engine.errors import AttributeInvalid, CursorInvalid, OptionInvalid
from engine.workflow.run import Run
from tests.integration.control.commands import call, told


def quiet_pipeline() -> Pipeline[Any, Any] | Any:
    @stage
    def quiet(n: int) -> int:
        return n

    return Pipeline("quietly", quiet)


def found(engine: Engine, wanted: RunFilter, **options: Any) -> set[str]:
    return {run.id for run in search(engine.store, wanted, **options).runs}


def ids(runs: list[Run]) -> set[str]:
    return {run.id for run in runs}


def test_runs_are_found_by_attributes_and_all_of_them_must_be_there(engine: Engine) -> None:
    flow = quiet_pipeline()
    a = flow.start(1, attributes={"order": "A-17", "vip": True})
    b = flow.start(2, attributes={"order": "A-18", "vip": True})
    flow.start(3)
    assert found(engine, run_filter(attributes={"order": "A-17"})) == {a.id}
    assert found(engine, run_filter(attributes={"vip": True})) == {a.id, b.id}
    assert found(engine, run_filter(attributes={"vip": True, "order": "A-18"})) == {b.id}
    assert found(engine, run_filter(attributes={"vip": False})) == set()
    assert a.view().attributes == {"order": "A-17", "vip": "true"}
    with pytest.raises(AttributeInvalid):
        run_filter(attributes={"": 1})


def test_runs_are_found_by_tenant_state_key_and_pipeline_together(
    engine: Engine, worker: Worker
) -> None:
    @stage(retry=Retry(attempts=1))
    def odd(n: int) -> int:
        if n % 2 == 0:
            raise ValueError("even")
        return n

    flow = Pipeline("oddly", odd)
    worker.start()
    runs = [flow.start(n, tenant="acme" if n < 2 else "globex", key=f"k{n}") for n in range(4)]
    for run in runs:
        run.wait("10s")
    assert found(engine, run_filter(state="failed")) == ids([runs[0], runs[2]])
    assert found(engine, run_filter(state="failed", tenant="globex")) == {runs[2].id}
    assert found(engine, run_filter(key="k1")) == {runs[1].id}
    assert found(engine, run_filter(key="k1", tenant="globex")) == set()
    assert found(engine, run_filter(pipeline="odd")) == set()
    assert found(engine, run_filter(pipeline="oddly")) == ids(runs)


def test_runs_are_found_by_when_they_started_and_ended(engine: Engine, worker: Worker) -> None:
    flow = quiet_pipeline()
    old = flow.start(1)
    time.sleep(0.02)
    middle = engine.store.queues.now_ms()
    time.sleep(0.02)
    young = flow.start(2)
    assert found(engine, run_filter(since_ms=middle)) == {young.id}
    assert found(engine, run_filter(until_ms=middle)) == {old.id}
    assert found(engine, run_filter(since_ms=middle, until_ms=middle)) == set()
    assert found(engine, run_filter(ended_since_ms=0)) == set()
    worker.start()
    young.wait("10s"), old.wait("10s")
    assert found(engine, run_filter(ended_since_ms=middle)) == {old.id, young.id}
    assert found(engine, run_filter(ended_until_ms=middle)) == set()


def test_pages_follow_each_other_without_a_gap_or_a_repeat_while_runs_start_and_go(
    engine: Engine,
) -> None:
    flow = quiet_pipeline()
    # One call: most of them start in one and the same millisecond.
    runs = flow.start_many(list(range(450)), attributes={"batch": 1})
    seen: list[str] = []
    cursor = None
    while True:
        wanted = run_filter(attributes={"batch": 1})
        page = search(engine.store, wanted, cursor=cursor, at_most=100)
        seen += [run.id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
        flow.start(0, attributes={"batch": 1})  # newer: none of this walk's business
        last = seen[-1]
        keys = engine.store.links.keys  # the run of the cursor goes out of the index
        engine.store.links.command("ZREM", keys.name("attribute", attribute="batch=1"), last)
    assert len(seen) == len(set(seen)) == 450
    assert set(seen) == ids(runs)


def test_a_search_that_stops_looking_says_so_and_goes_on_at_its_cursor(engine: Engine) -> None:
    flow = quiet_pipeline()
    wanted_run = flow.start(0, tenant="rare")
    time.sleep(0.01)
    flow.start_many(list(range(300)))
    wanted = run_filter(tenant="rare")
    first = search(engine.store, wanted, looked_at_most=250)
    assert (first.runs, first.cut, first.looked_at) == ([], True, 250)
    second = search(engine.store, wanted, cursor=first.cursor, looked_at_most=250)
    assert [run.id for run in second.runs] == [wanted_run.id]
    assert (second.cut, second.cursor) == (False, None)


def test_a_cursor_of_another_filter_or_of_nothing_is_refused(engine: Engine) -> None:
    flow = quiet_pipeline()
    flow.start_many([1, 2, 3])
    page = search(engine.store, run_filter(), at_most=1)
    assert not page.cut
    for cursor in (page.cursor, "nonsense", "", "bnVsbA"):
        with pytest.raises(CursorInvalid):
            search(engine.store, run_filter(tenant="acme"), cursor=cursor)


def test_the_command_finds_pages_and_refuses_what_it_cannot_read(
    commands: Engine,
) -> None:
    flow = quiet_pipeline()
    runs = flow.start_many(list(range(3)), attributes={"order": "A=17"}, keys=["a", "b", "c"])
    words = ["runs", "--attr", "order=A=17", "--since", "1h", "--limit", "2"]
    first = told(*words)
    assert [set(first[-1]), first[-1]["cut"]] == [{"cursor", "cut", "looked_at"}, False]
    assert first[0]["attributes"] == {"order": "A=17"}
    [rest] = told(*words, "--cursor", first[-1]["cursor"])
    assert {first[0]["id"], first[1]["id"], rest["id"]} == ids(runs)
    assert [one["key"] for one in told("runs", "--key", "b")] == ["b"]
    assert told("runs", "--until", "2020-01-31T12:00") == []
    assert told("runs", "--until", "1h") == []
    assert "no run" in call("runs", "--pipeline", "other")
    with pytest.raises(OptionInvalid, match="--since"):
        chosen_runs(commands.store, *[None] * 4, "soon", *[None] * 4)
    with pytest.raises(OptionInvalid, match="NAME=VALUE"):
        chosen_runs(commands.store, *[None] * 8, ["order"])
