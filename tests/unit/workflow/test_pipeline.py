from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine import Pipeline, current, each, stage
from engine.errors import (
    AttributeInvalid,
    DefinitionInvalid,
    DuplicateName,
    KeyInvalid,
    LengthsDiffer,
    NameInvalid,
    OptionInvalid,
    RunFailed,
    TenantInvalid,
    WaitTimeout,
)
from engine.workflow.registry import Registry
from engine.workflow.run import Run, RunState, RunView
from engine.workflow.start import Start


class Engine:
    """Writes down what it is asked and ends every run at once."""

    def __init__(self, state: RunState = RunState.COMPLETED) -> None:
        self.asked: list[Any] = []
        self.state = state

    def bind(self, definition: Any) -> None: ...

    def start(self, definition: Any, payload: bytes, **options: Any) -> Run:
        self.asked.append((definition.name, payload, options))
        return Run("0" * 32, self)  # type: ignore[arg-type]

    async def astart(self, definition: Any, payload: bytes, **options: Any) -> Run:
        return self.start(definition, payload, **options)

    def start_many(self, definition: Any, starts: list[Start]) -> list[Run]:
        self.asked += starts
        return [Run(f"{i:032x}", self) for i in range(len(starts))]  # type: ignore[arg-type]

    def wait(self, run_id: str, timeout_ms: int) -> RunState:
        return self.state

    def view(self, run_id: str) -> RunView:
        return RunView(id=run_id, pipeline="p", state=self.state, tenant="t")

    def result(self, run_id: str) -> bytes:
        if self.state is RunState.FAILED:
            raise RunFailed(run_id, "work", "ValueError", "bad")
        return b'{"a":1}'

    async def await_result(self, run_id: str) -> bytes:
        return self.result(run_id)

    def cancel(self, run_id: str, *, undo: bool = False) -> bool:
        return True


@pytest.fixture
def engine() -> Any:
    with current.use(Engine()) as engine:  # type: ignore[arg-type]
        yield engine


@pytest.fixture
def pipeline() -> Pipeline:
    @stage
    def add(a: int, b: int = 1) -> int:
        return a + b

    return Pipeline("sums", add)


def test_a_start_hands_the_engine_json_and_checked_options(engine: Engine, pipeline) -> None:
    attributes = {"vip": True, "order": "A-17"}
    run = pipeline.start(1, tenant="acme", key="k1", delay="2s", priority=3, attributes=attributes)
    options = {
        "tenant": "acme",
        "key": "k1",
        "delay_ms": 2_000,
        "priority": 3,
        "attributes": ("order=A-17", "vip=true"),
    }
    assert engine.asked == [("sums", b"[1,1]", options)]
    assert (run.wait(), run.status(), run.result(), run.cancel()) == (
        "completed",
        "completed",
        {"a": 1},
        True,
    )
    assert run.result(into=dict[str, float]) == {"a": 1.0}


def test_a_start_is_awaitable_and_so_is_the_run(engine: Engine, pipeline) -> None:
    async def play() -> Any:
        run = await pipeline.astart(1)
        return await run

    assert asyncio.run(play()) == {"a": 1}


def test_bulk_starts_take_attributes_for_all_or_each(engine: Engine, pipeline) -> None:
    pipeline.start_many([(1, 2), (3, 4)], attributes={"n": 17})
    assert [one.attributes for one in engine.asked] == [("n=17",), ("n=17",)]
    engine.asked.clear()
    pipeline.start_many([(1, 2), (3, 4)], attributes=lambda item: {"first": item[0]})
    pipeline.start_many([(1, 2), (3, 4)], attributes=[None, {"b": "x y"}])
    told = [one.attributes for one in engine.asked]
    assert told == [("first=1",), ("first=3",), (), ("b=x y",)]
    with pytest.raises(LengthsDiffer, match="attributes has 1 entries for 2"):
        pipeline.start_many([(1, 2), (3, 4)], attributes=[None])


def test_bulk_starts_take_a_tenant_for_all_or_each(engine: Engine, pipeline) -> None:
    pipeline.start_many([(1, 2), (3, 4)], tenant=lambda item: f"t{item[0]}", keys=["x", None])
    assert engine.asked == [Start(b"[1,2]", "t1", "x"), Start(b"[3,4]", "t3")]
    assert len(pipeline.flow.send_many([(1, 2)], tenant="acme")) == 1
    with pytest.raises(LengthsDiffer, match="keys has 1 entries for 2"):
        pipeline.start_many([(1, 2), (3, 4)], keys=["x"])
    with pytest.raises(OptionInvalid, match="keys"):
        pipeline.start_many([(1, 2)], keys="x")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tenant": "a b"}, TenantInvalid),
        ({"tenant": ""}, TenantInvalid),
        ({"tenant": "x" * 101}, TenantInvalid),
        ({"tenant": "a\n"}, TenantInvalid),
        ({"key": ""}, KeyInvalid),
        ({"key": "a b"}, KeyInvalid),
        ({"key": "a\u00a0b"}, KeyInvalid),
        ({"key": "x" * 201}, KeyInvalid),
        ({"key": "\x00"}, KeyInvalid),
        ({"priority": -1}, OptionInvalid),
        ({"attributes": {"a b": 1}}, AttributeInvalid),
        ({"attributes": {1: 1}}, AttributeInvalid),
        ({"attributes": {"a": ""}}, AttributeInvalid),
        ({"attributes": {"a": "x" * 201}}, AttributeInvalid),
        ({"attributes": {"a": "x\n"}}, AttributeInvalid),
        ({"attributes": {"a": 1.5}}, AttributeInvalid),
        ({"attributes": {"a": None}}, AttributeInvalid),
        ({"attributes": [("a", 1)]}, AttributeInvalid),
        ({"attributes": {f"a{n}": n for n in range(17)}}, AttributeInvalid),
    ],
)
def test_bad_options_start_nothing(engine: Engine, pipeline, options, error) -> None:
    with pytest.raises(error):
        pipeline.start(1, **options)
    assert engine.asked == []


def test_a_run_that_goes_on_is_a_wait_timeout(pipeline) -> None:
    with current.use(Engine(RunState.RUNNING)):  # type: ignore[arg-type]
        run = pipeline.start(1)
        with pytest.raises(WaitTimeout, match="10 ms"):
            run.wait("10ms")


def test_a_failed_run_has_no_result(pipeline) -> None:
    with current.use(Engine(RunState.FAILED)):  # type: ignore[arg-type]
        run = pipeline.start(1)
        assert run.wait() is RunState.FAILED
        with pytest.raises(RunFailed, match="ValueError: bad"):
            run.result()


def test_names_and_flows_are_checked(pipeline: Pipeline, definitions: Registry) -> None:
    with pytest.raises(NameInvalid):
        Pipeline("no spaces", pipeline.flow)
    with pytest.raises(DefinitionInvalid):
        Pipeline("p", len)
    again = Pipeline("sums", pipeline.flow)
    assert definitions.pipeline("sums") is again
    code = compile("Pipeline('sums', flow)", "elsewhere.py", "exec")
    with pytest.raises(DuplicateName):
        exec(code, {"Pipeline": Pipeline, "flow": pipeline.flow, "__name__": "elsewhere"})


def test_a_plan_is_compiled_once_and_its_hash_tells_plans_apart(pipeline: Pipeline) -> None:
    other = Pipeline("others", each(pipeline.flow))
    assert pipeline.plan() is pipeline.plan()
    assert len(pipeline.plan().hash) == 16
    assert pipeline.plan().hash != other.plan().hash
    assert other.plan().stages() == ("add",)


def test_a_plan_draws_itself(pipeline: Pipeline) -> None:
    drawn = Pipeline("drawn", each(pipeline.flow & pipeline.flow, window=7)).draw()
    assert drawn.startswith("flowchart LR\n")
    assert '"each, 7 at a time"' in drawn
    assert 'n0 -->|"item"| n1' in drawn


def test_a_run_begins_in_the_queue_of_its_first_stage_also_behind_a_fork() -> None:
    @stage(queue="left")
    def left(number: int) -> int:
        return number

    @stage(queue="right")
    def right(number: int) -> int:
        return number

    assert Pipeline("one", left | right).plan().first_queue == "left"
    assert Pipeline("two", left & right).plan().first_queue == "left"
