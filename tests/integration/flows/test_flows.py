"""Declared flows on a real server: results, bindings to stored results, keys, failures."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from dramatiq import Worker

from engine import Retry, stage
from engine.bootstrap import Engine
from engine.errors import RunFailed
from engine.flows import load
from engine.workflow.plan import Plan
from engine.workflow.run import Run
from tests.architecture.reading import ROOT, python_examples

PUSH = """
name: push
tenantId: acme
context: {team: core}
steps:
  - parse
  - id: facts
    parallel:
      - stage: enrich
        bind: {inputs: {repo: steps.parse.output.repo, team: context.team}}
      - - upper_all
  - choose:
      - when: size(steps.parse.output.files) > 1 && context.team == "core"
        then: {stage: label, bind: {value: big}}
    otherwise: {stage: label, bind: {value: small}}
    id: size
  - stage: close
    bind: "{facts: steps.facts.output, size: steps.size.output, given: input.repo, last: value}"
"""


@pytest.fixture
def stages(engine: Engine) -> Engine:
    @stage
    def parse(event: dict) -> dict:
        return {"repo": event["repo"], "files": event["files"]}

    @stage
    def enrich(repo: str, team: str) -> str:
        return f"{team}/{repo}"

    @stage
    def upper_all(push: dict) -> list[str]:
        return [name.upper() for name in push["files"]]

    @stage
    def upper(name: str) -> str:
        return name.upper()

    @stage
    def label(size: str) -> str:
        return size

    @stage
    def close(value: object) -> object:
        return value

    @stage(retry=Retry(attempts=5, base="10ms"))
    def number(text: str) -> int:
        return int(text)

    @stage
    def climb(n: int) -> int:
        return n + 1

    return engine


def ended(run: Run) -> object:
    run.wait("20s")
    return run.result()


def test_a_flow_of_bindings_conditions_and_groups_gives_its_result(
    stages: Engine, worker: Worker
) -> None:
    worker.start()
    run = load(PUSH).start({"repo": "x", "files": ["a", "b"]})
    assert ended(run) == {
        "facts": ["core/x", ["A", "B"]], "size": "big", "given": "x", "last": "big",
    }  # fmt: skip
    view = run.view()
    assert (view.pipeline, view.tenant) == ("push", "acme")
    other = load(PUSH).start({"repo": "y", "files": []}, context={"team": "web"})
    assert ended(other) == {
        "facts": ["web/y", []], "size": "small", "given": "y", "last": "small",
    }  # fmt: skip


def test_an_each_over_what_a_binding_gives_reads_outer_results(
    stages: Engine, worker: Worker
) -> None:
    worker.start()
    flow = load({
        "context": {"team": "core"},
        "steps": [
            "parse",
            {
                "each": ["upper", {"stage": "enrich", "bind": "[value, steps.parse.output.repo]"}],
                "window": 2,
                "bind": "steps.parse.output.files",
            },
            {"stage": "close", "bind": "{all: value, team: context.team}"},
        ],
    })  # fmt: skip
    files = [f"f{n}" for n in range(7)]
    expected = {"all": [f"x/F{n}" for n in range(7)], "team": "core"}
    assert ended(flow.start({"repo": "x", "files": files})) == expected


def test_a_repeat_goes_on_until_its_condition_holds(stages: Engine, worker: Worker) -> None:
    worker.start()
    flow = load({"steps": [{"repeat": "climb", "until": "value >= 7"}, "close"]})
    assert ended(flow.start(1)) == 7


def test_an_id_starts_one_run_and_no_id_starts_many(stages: Engine, worker: Worker) -> None:
    worker.start()
    once = {"name": "once", "id": "order-7", "steps": ["climb"]}
    runs = [load(once).start(number) for number in (1, 5, 9)]
    assert len({run.id for run in runs}) == 1
    assert [run.duplicate for run in runs] == [False, True, True]
    assert ended(runs[2]) == 2
    many = load({"name": "many", "steps": ["climb"]})
    fresh = [many.start(1) for _ in range(50)]
    assert len({run.id for run in fresh}) == 50
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{19}", run.id) for run in fresh)


@pytest.mark.parametrize(
    ("steps", "position"),
    [
        ([{"stage": "climb", "bind": {"cel": "value.missing"}}], "0"),
        (["climb", {"choose": [{"when": "value.x", "then": "climb"}]}], "0"),
        ([{"each": "climb", "bind": {"cel": "value / 0"}}, "close"], "0"),
        (["climb", {"sleep_until": "'tomorrow'"}, "climb"], "0"),
    ],
)
def test_an_expression_that_fails_is_a_dead_letter_at_once(
    stages: Engine, worker: Worker, steps: list, position: str
) -> None:
    worker.start()
    run = load({"steps": steps}).start({"x": 1} if "missing" in str(steps) else 1)
    with pytest.raises(RunFailed):
        ended(run)
    letter = stages.store.letters.read(f"{run.id}:{position}")
    assert letter is not None
    assert (letter.reason, letter.attempt) == ("expression_failed", 1)


def test_a_binding_that_gives_an_each_no_list_is_a_dead_letter_at_once(
    stages: Engine, worker: Worker
) -> None:
    worker.start()
    run = load({"steps": [{"each": "climb", "bind": {"cel": "value + 1"}}, "close"]}).start(1)
    with pytest.raises(RunFailed):
        ended(run)
    letter = stages.store.letters.read(f"{run.id}:0")
    assert letter is not None
    assert letter.reason == "payload_invalid"


def test_the_example_of_the_page_runs(engine: Engine, worker: Worker) -> None:
    page = ROOT / "docs/flows.md"
    exec(compile(python_examples(page)[0], "docs/flows.md", "exec"), {"__name__": "docs_flows"})
    (example, *_) = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    worker.start()
    flow = load(example)
    assert ended(flow.start({"repo": "x", "files": ["a.py", "bb.py", "c.rs"]})) == {
        "repo": "core/x",
        "told": "a.py, bb.py, c.rs",
        "by": "7d1f",
    }
    assert ended(flow.start({"repo": "x", "files": ["abc"]}))["told"] == "all clear"
    draft = flow.start({"repo": "x", "files": [], "draft": True}, context={"team": "web"})
    assert ended(draft)["told"] == "a draft"


def test_a_bound_stage_retries_with_the_same_input(stages: Engine, worker: Worker) -> None:
    tries: list[str] = []

    @stage(retry=Retry(attempts=3, base="10ms"))
    def flaky(text: str) -> str:
        tries.append(text)
        if len(tries) < 3:
            raise OSError("not yet")
        return text

    worker.start()
    run = load({"steps": ["close", {"stage": "flaky", "bind": "input.a"}]}).start({"a": "same"})
    assert ended(run) == "same"
    assert tries == ["same"] * 3


def test_a_run_ends_on_the_expressions_it_began_with(
    stages: Engine, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that never saw the document reads the plan from the store."""
    run = load(PUSH).start({"repo": "x", "files": ["a", "b"]})
    stages.plans._known.clear()
    parsed: list[bytes] = []
    read: Callable[[bytes], Plan] = Plan.from_json

    def noted(raw: bytes) -> Plan:
        parsed.append(raw)
        return read(raw)

    monkeypatch.setattr(Plan, "from_json", noted)
    worker.start()
    assert ended(run)["size"] == "big"  # type: ignore[index]
    assert len(parsed) == 1
