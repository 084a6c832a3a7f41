"""A declared flow starts like any pipeline; what a start leaves out the document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import Pipeline, current, stage
from engine.errors import DuplicateName, FlowInvalid, KeyInvalid, PayloadInvalid
from engine.flows import Declared, load, problems_of
from engine.workflow.run import Run


class Recorder:
    """Stands where an engine stands and remembers what it is asked."""

    def __init__(self) -> None:
        self.starts: list[tuple[Any, dict[str, Any]]] = []

    def bind(self, definition: object) -> None: ...

    def start(self, definition: object, payload: bytes, **options: Any) -> Run:
        self.starts.append((json.loads(payload), options))
        return Run("0" * 32, self)  # type: ignore[arg-type]

    async def astart(self, definition: object, payload: bytes, **options: Any) -> Run:
        return self.start(definition, payload, **options)

    def start_many(self, definition: object, starts: list[Any]) -> list[Run]:
        return [self.start(definition, one.payload, **one.options()) for one in starts]


@pytest.fixture
def engine(definitions):
    @stage
    def double(n: int) -> int:
        return n * 2

    @stage
    def pair(left: int, right: int) -> int:
        return left + right

    recorder = Recorder()
    with current.use(recorder):  # type: ignore[arg-type]
        yield recorder


PLAIN = {"steps": ["double"]}
FULL = {
    "id": "order-7", "name": "orders", "tenantId": "acme", "priority": 8, "context": {"who": "me"},
    "steps": [{"stage": "double", "bind": "context.n || input"}],
}  # fmt: skip


def test_the_document_says_key_tenant_priority_and_context(engine) -> None:
    load(FULL).start(4)
    payload, options = engine.starts[0]
    assert payload == {"~input": 4, "~context": {"who": "me"}}
    assert options == {
        "tenant": "acme",
        "key": "order-7",
        "delay_ms": 0,
        "priority": 8,
        "attributes": (),
    }


def test_a_start_says_it_better(engine) -> None:
    load(FULL).start(4, tenant="other", key="k", priority=0, delay="2s", context={"n": 1})
    payload, options = engine.starts[0]
    assert payload == {"~input": 4, "~context": {"n": 1}}
    assert options == {
        "tenant": "other",
        "key": "k",
        "delay_ms": 2_000,
        "priority": 0,
        "attributes": (),
    }


def test_without_an_id_there_is_no_key_and_nothing_of_the_clock(engine) -> None:
    load(PLAIN).start(4)
    assert engine.starts == [
        (4, {"tenant": "default", "key": None, "delay_ms": 0, "priority": None, "attributes": ()})
    ]


def test_a_flow_that_reads_no_context_is_started_with_its_input_alone(engine) -> None:
    load({**PLAIN, "context": {"unread": 1}}).start(4)
    assert engine.starts[0][0] == 4


async def _started(flow: Declared) -> None:
    await flow.astart(4)


def test_it_starts_without_blocking_and_in_bulk(engine) -> None:
    import asyncio

    asyncio.run(_started(load(FULL)))
    load(FULL).start_many([1, 2], keys=["a", "b"])
    load(FULL).start_many([3])
    assert [payload["~input"] for payload, _ in engine.starts] == [4, 1, 2, 3]
    assert [options["key"] for _, options in engine.starts] == ["order-7", "a", "b", None]
    assert {options["tenant"] for _, options in engine.starts} == {"acme"}


def test_the_input_is_checked_against_the_first_stage(engine) -> None:
    with pytest.raises(PayloadInvalid):
        load(PLAIN).start("four")
    unbound = {"steps": ["double", {"stage": "double", "bind": "input"}]}
    with pytest.raises(PayloadInvalid):
        load(unbound).start("four")
    assert load(unbound).start(4)
    load({"steps": ["pair", {"stage": "double", "bind": "input[1]"}]}).start(1, 2)
    assert engine.starts[-1][0] == {"~input": [1, 2], "~context": {}}


def test_an_id_that_is_no_key_is_refused_when_it_is_used(engine) -> None:
    with pytest.raises(KeyInvalid):
        load({**PLAIN, "id": "a\x01"}).start(1)


def test_documents_come_and_go_without_taking_names(engine, definitions) -> None:
    Pipeline("orders", definitions.stage("double"))
    assert load(FULL).name == "orders"
    assert load(FULL).plan() == load(FULL).plan()
    assert not isinstance(definitions.pipeline("orders"), Declared)
    with pytest.raises(DuplicateName):
        load(FULL, register=True)
    again = load({**FULL, "name": "mine"}, register=True)
    assert definitions.pipeline("mine") is again


def test_the_name_of_a_flow_without_one_is_flow(engine) -> None:
    assert load(PLAIN).name == "flow"


def test_the_plan_does_not_depend_on_whose_run_it_is(engine) -> None:
    other = {**FULL, "id": "x", "tenantId": "y", "priority": 1, "context": {"z": 1}}
    assert load(FULL).plan().hash == load(other).plan().hash


def test_a_flow_is_loaded_from_a_path_a_text_or_data(engine, tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("steps: [double]\n")
    plans = {load(source).plan().hash for source in (file, str(file), "steps: [double]\n", PLAIN)}
    plans |= {load(json.dumps(PLAIN)).plan().hash}
    assert len(plans) == 1
    assert load(file).origin.file == str(file)
    with pytest.raises(FileNotFoundError):
        problems_of(tmp_path / "none.yaml")
    file.write_text("steps: [duoble]\n")
    with pytest.raises(FlowInvalid, match=r"flow\.yaml"):
        load(file)


def test_a_flow_draws_itself_with_its_conditions(engine) -> None:
    steps = [{"choose": [{"when": "value > 1", "then": "double"}], "otherwise": "double"}]
    picture = load({"steps": steps}).draw()
    assert '|"value #62; 1"|' in picture
    assert "cel?" not in picture
