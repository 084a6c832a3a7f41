"""Everything that is wrong with a document is told: where, what, and the nearest valid name."""

from __future__ import annotations

import pytest

from engine import stage
from engine.errors import FlowInvalid
from engine.flows import load, problems_of
from engine.flows.shapes import MAX_DEPTH, MAX_STEPS


@pytest.fixture(autouse=True)
def stages(definitions):
    @stage
    def parse(event: dict) -> dict:
        return event

    @stage
    def count(n: int) -> int:
        return n

    @stage
    def pair(left: int, right: int) -> int:
        return left + right

    return definitions


def told(*steps, **fields):
    return [tuple(problem) for problem in problems_of({"steps": list(steps), **fields})]


def only(*steps, **fields):
    (problem,) = told(*steps, **fields)
    return problem


@pytest.mark.parametrize(
    ("steps", "path", "words", "near"),
    [
        # what it is
        ([7], "steps[0]", "7 is no step", ""),
        ([None], "steps[0]", "nothing is no step", ""),
        ([{}], "steps[0]", "it is no step; give one of stage, pipeline", ""),
        ([{"stag": "parse"}], "steps[0]", "it is no step", "stage"),
        ([{"stage": "parse", "sleep": "1s"}], "steps[0]", "stage and sleep at once", ""),
        ([{"stage": "parse", "widnow": 3}], "steps[0].widnow", "no such field", ""),
        ([{"each": "parse", "widnow": 3}], "steps[0].widnow", "no such field", "window"),
        ([[]], "steps[0]", "it is empty", ""),
        # values
        ([{"each": "parse", "window": 0}], "steps[0].window", "0 is not from 1 to 256", ""),
        ([{"each": "parse", "window": True}], "steps[0].window", "True is not a whole number", ""),
        ([{"each": "parse", "on_error": "colect"}], "steps[0].on_error", "none of fail", "collect"),
        ([{"sleep": "soon"}], "steps[0].sleep", "is not a duration", ""),
        ([{"sleep": "20y"}], "steps[0].sleep", "is not a duration", ""),
        ([{"sleep": "9999d"}], "steps[0]", "at most ten years", ""),
        ([{"wait_for": "a b"}], "steps[0].wait_for", "cannot be used", ""),
        ([{"wait_for": "ok", "otherwise": "parse"}], "steps[0]", "a timeout beside it", ""),
        ([{"parallel": ["parse"]}], "steps[0].parallel", "1 entries and needs 2", ""),
        ([{"parallel": ["parse"] * 2, "need": "al"}], "steps[0].need", "none of all, ended", "all"),
        ([{"parallel": ["parse"] * 2, "need": 3}], "steps[0]", "need=3", ""),
        ([{"first": "parse"}], "steps[0].first", "is not a list", ""),
        ([{"stage": 3}], "steps[0].stage", "3 is not text", ""),
        ([{"stage": "parse", "id": "~x"}], "steps[0].id", "cannot be used", ""),
        ([{"repeat": "count"}], "steps[0]", "it misses 'until'", ""),
        ([{"repeat": "count", "until": "value > 1", "limit": 0}], "steps[0].limit", "0 is not", ""),
        # choose
        ([{"choose": []}], "steps[0].choose", "it is empty", ""),
        ([{"choose": [3]}], "steps[0].choose[0]", "3 is no case", ""),
        ([{"choose": [{"when": "true"}]}], "steps[0].choose[0]", "misses 'then'", ""),
        (
            [{"choose": [{"wehn": "true", "when": "true", "then": "parse"}]}],
            "steps[0].choose[0].wehn",
            "no such field",
            "when",
        ),
        ([{"choose": "'a'"}], "steps[0]", "it misses 'cases'", ""),
        (
            [{"choose": [{"when": "true", "then": "parse"}] * 2}],
            "steps[0]",
            "the same condition",
            "",
        ),
        # expressions
        (
            [{"repeat": "count", "until": "valeu > 1"}],
            "steps[0].until",
            "reads 'valeu'",
            "value",
        ),
        ([{"stage": "parse", "bind": "input.["}], "steps[0].bind", "is no JMESPath", ""),
        ([{"stage": "parse", "bind": 3}], "steps[0].bind", "3 is no expression", ""),
        ([{"stage": "parse", "bind": {"cell": "1"}}], "steps[0].bind", "a binding has one", "cel"),
        ([{"sleep_until": {"cel": 4}}], "steps[0].sleep_until", "4 is no expression", ""),
        ([{"sleep_until": {"js": "1"}}], "steps[0].sleep_until", "'js' is no language", ""),
        # names
        (["prase"], "steps[0]", "there is no stage 'prase'", "parse"),
        ([{"stage": "prase"}], "steps[0].stage", "there is no stage 'prase'", "parse"),
        ([{"stage": "parse", "undo": "pares"}], "steps[0].undo", "no stage 'pares'", "parse"),
        ([{"each": "count", "pages": "pars"}], "steps[0].pages", "no stage 'pars'", "parse"),
        ([{"pipeline": "none"}], "steps[0].pipeline", "no pipeline 'none'", ""),
        # types
        (["count", "parse"], "steps[1]", "'count' gives int, but 'parse' takes dict", ""),
        (["parse", ["count"]], "steps[1]", "'parse' gives dict, but 'count' takes int", ""),
        ([{"stage": "parse", "undo": "count"}], "steps[0]", "'parse' gives dict", ""),
        # inputs
        (
            [{"stage": "pair", "bind": {"inputs": {"left": "value", "rigth": "value"}}}],
            "steps[0].bind.inputs.rigth",
            "has no input 'rigth'",
            "right",
        ),
        (
            [{"each": "count", "bind": {"inputs": {"n": "value"}}}],
            "steps[0].bind",
            "only a stage has inputs",
            "",
        ),
        # references
        ([{"stage": "count", "bind": "steps.nope.output"}], "steps[0].bind", "no step 'nope'", ""),
        (
            ["parse", {"stage": "count", "bind": "steps.prse.output"}],
            "steps[1].bind",
            "no step 'prse'; those that have ended here: parse",
            "parse",
        ),
        (
            [{"stage": "count", "bind": "steps.count.output"}],
            "steps[0].bind",
            "not certain that step 'count' has ended",
            "",
        ),
        (
            [{"parallel": ["parse", {"stage": "count", "bind": "steps.parse.output"}]}],
            "steps[0].parallel[1].bind",
            "not certain that step 'parse' has ended",
            "",
        ),
        (
            [
                {"choose": [{"when": "true", "then": "parse"}], "otherwise": "count"},
                {"stage": "count", "bind": "steps.parse.output"},
            ],
            "steps[1].bind",
            "not certain",
            "",
        ),
        (
            [{"each": ["parse", {"stage": "count", "bind": "steps.parse.output"}]}],
            "steps[0].each[1].bind",
            "step 'parse' happens many times",
            "",
        ),
        (
            ["parse", "parse", {"stage": "count", "bind": "steps.parse.output"}],
            "steps[2].bind",
            "2 steps are called 'parse'",
            "",
        ),
        (
            [{"stage": "parse", "id": "a"}, {"stage": "parse", "id": "a"}],
            "steps[1].id",
            "the id 'a' is taken by steps[0]",
            "",
        ),
    ],
)
def test_a_wrong_step_is_told(steps, path: str, words: str, near: str) -> None:
    found = only(*steps)
    assert found[0] == path
    assert words in found[1]
    assert found[2] == near


@pytest.mark.parametrize(
    ("fields", "path", "words", "near"),
    [
        ({"tennantId": "a"}, "tennantId", "no such field", "tenantId"),
        ({"tenantId": "a b"}, "tenantId", "cannot be used", ""),
        ({"tenantId": 3}, "tenantId", "not text", ""),
        ({"priority": 10}, "priority", "10 is not from 0 to 9", ""),
        ({"priority": 10**400}, "priority", "a number of that size is not", ""),
        ({"priority": "5"}, "priority", "'5' is not a whole number", ""),
        ({"name": "1x"}, "name", "cannot be used", ""),
        ({"id": ""}, "id", "0 entries", ""),
        ({"id": "a b"}, "id", "cannot be used", ""),
        ({"id": "x" * 201}, "id", "201 entries", ""),
        ({"context": []}, "context", "is not an object", ""),
        ({"bindings": {"prase": "value"}}, "bindings.prase", "there is no step", "parse"),
        ({"bindings": {"parse": "valeu"}}, "bindings.parse", "reads 'valeu'", "value"),
    ],
)
def test_a_wrong_field_of_the_document_is_told(fields, path, words, near) -> None:
    found = only("parse", **fields)
    assert (found[0], found[2]) == (path, near)
    assert words in found[1]


def test_a_binding_stands_in_one_place() -> None:
    step = {"stage": "parse", "bind": "value"}
    assert "keep one" in only(step, bindings={"parse": "value"})[1]
    assert "give them ids" in only("parse", "parse", bindings={"parse": "value"})[1]


@pytest.mark.parametrize("data", [[], "text\n", "", "3\n", None, "~\n"])
def test_what_is_no_object_is_no_document(data) -> None:
    (problem,) = problems_of(data if isinstance(data, str) else {"steps": data})
    assert problem.path in ("", "steps")


def test_steps_must_be_there() -> None:
    assert [tuple(found) for found in problems_of({})] == [("", "it misses 'steps'", "")]
    assert problems_of({"steps": []})[0].path == "steps"
    assert problems_of({"steps": "parse"})[0].path == "steps"


def test_everything_wrong_is_told_at_once() -> None:
    found = told({"sleep": "soon"}, {"stag": "x"}, {"each": "a", "window": 0}, priority=11)
    assert [path for path, *_ in found] == [
        "priority",
        "steps[0].sleep",
        "steps[1]",
        "steps[2].window",
    ]
    found = told("prase", {"stage": "cuont"}, {"stage": "count", "bind": "steps.x.output"})
    assert [path for path, *_ in found] == ["steps[2].bind", "steps[0]", "steps[1].stage"]


def test_the_error_says_all_of_it() -> None:
    with pytest.raises(FlowInvalid) as caught:
        load({"steps": ["prase"]})
    assert caught.value.problems[0].path == "steps[0]"
    assert "steps[0]: there is no stage 'prase' here. Did you mean 'parse'?" in str(caught.value)


def test_a_document_may_have_a_thousand_steps_and_no_more() -> None:
    assert load({"steps": ["parse"] * MAX_STEPS}).plan()
    assert "more than 1,000 steps" in only(*["parse"] * (MAX_STEPS + 500))[1]


def test_steps_are_nested_so_deep_and_no_deeper() -> None:
    step: object = "parse"
    for _ in range(MAX_DEPTH - 1):
        step = {"steps": [step]}
    assert load({"steps": [step]}).plan().stages() == ("parse",)
    for _ in range(100):
        step = [step]
    assert "nested deeper than" in only(step)[1]


def test_a_problem_is_not_told_a_million_times() -> None:
    with pytest.raises(FlowInvalid) as caught:
        load({"steps": [{"sleep": "soon"}] * 900})
    assert len(caught.value.problems) == 50
    assert "and 850 more" in str(caught.value)
