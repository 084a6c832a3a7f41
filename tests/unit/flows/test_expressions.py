"""Expressions: what they read, what they give, and that a hostile one ends quickly with a name."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ExpressionFailed
from engine.flows.cel_words import words_of
from engine.flows.code import Code
from engine.flows.cost import Refused, TooCostly, units_of

SCOPE = {
    "value": {"n": 3, "name": "ada", "items": [{"n": 1, "ok": True}, {"n": 2, "ok": False}]},
    "input": [1, 2, 3],
    "context": {"who": "me"},
    "steps": {"a": {"output": {"x": 1}}, "b-c": {"output": 2}},
}
A_SECOND_AND_A_HALF = 1.5


def cel(text: str, kind: str = ""):
    return Code("cel", text, kind).value(SCOPE)


def jmespath(text: str, kind: str = ""):
    return Code("jmespath", text, kind).value(SCOPE)


def refusal(language: str, text: str) -> Refused:
    with pytest.raises(Refused) as caught:
        Code(language, text).parsed()
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("value.n > 2 && context.who == 'me'", True),
        ("size(input) + steps.a.output.x", 4),
        ("steps['b-c'].output * 2", 4),
        ('steps["b-c"].output', 2),
        ("value.items.exists(i, i.ok && i.n == input[0])", True),
        ("value.items.all(i, i.ok)", False),
        ("value.items.filter(i, i.n > 1)[0].n", 2),
        ("value.items.exists_one(i, i.ok)", True),
        ("has(value.missing) ? 1 : 2", 2),
        ("value.name.startsWith('a') // a remark", True),
        ("timestamp('2026-01-01T00:00:00Z') + duration('1h')", "2026-01-01T01:00:00+00:00"),
        ("[value.n, {'k': 1.5}, null]", [3, {"k": 1.5}, None]),
        ("'value.nope' == 'steps'", False),
        ("{'steps': 1}.steps", 1),
        ("type(input) == list && type(value.n) == int || value.n > 'x'", True),
    ],
)
def test_cel_gives(text: str, value: object) -> None:
    assert cel(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("value.items[?ok].n", [1]),
        ("value.items[*].n | [1]", 2),
        ("{n: value.n, all: input}", {"n": 3, "all": [1, 2, 3]}),
        ('steps."b-c".output', 2),
        ("steps.a.output.x", 1),
        ("length(input)", 3),
        ("map(&n, value.items)", [1, 2]),
        ("max_by(value.items, &n).n", 2),
        ("join('-', ['a', context.who])", "a-me"),
        ("value.items[].n", [1, 2]),
        ("value.items[:1].n", [1]),
        ("value.missing", None),
        ("value.n == `3` && input[0]", 1),
    ],
)
def test_jmespath_gives(text: str, value: object) -> None:
    assert jmespath(text) == value


def test_an_expression_knows_what_it_reads() -> None:
    reads = Code("cel", "steps.a.output.x == steps['b-c'].output && size(input) > 1").reads()
    assert (reads.names, reads.steps) == ({"steps", "input"}, {"a", "b-c"})
    reads = Code("jmespath", 'steps.a.output[0].x || steps."b-c".output | [context]').reads()
    assert (reads.names, reads.steps) == ({"steps"}, {"a", "b-c"})
    assert Code("jmespath", "map(&steps, value)").reads().names == {"value"}
    assert Code("cel", "value.steps.x.exists(i, i.input > 1)").reads().names == {"value"}
    assert Code("json", "[1]").reads().names == frozenset()


@pytest.mark.parametrize(
    ("language", "text", "problem", "nearest"),
    [
        ("cel", "valeu.n == 1", "'valeu'", "value"),
        ("cel", "os.environ", "'os'", ""),
        ("cel", "__import__('os')", "'__import__'", ""),
        ("cel", "steps.a.outptu", "as a whole", "output"),
        ("cel", "steps[input[0]].output", "as a whole", ""),
        ("cel", "size(steps)", "as a whole", ""),
        ("cel", "sise(input)", "'sise'", "size"),
        ("cel", "value.name.matches('(a+)+$')", "'matches'", ""),
        ("cel", "input.map(i, i)", "'map'", ""),
        ("cel", "input.all(a, input.all(b, a == b))", "inside another", ""),
        ("cel", "1 +", "no CEL", ""),
        ("cel", "", "is empty", ""),
        ("cel", "1" * 1_001, "1,001 characters", ""),
        ("cel", "(" * 33 + "1" + ")" * 33, "nested 33 deep", ""),
        ("cel", "'\ud800'", "no CEL", ""),
        ("jmespath", "valeu.n", "'valeu'", "value"),
        ("jmespath", "@", "begins with no name", ""),
        ("jmespath", "*", "begins with no name", ""),
        ("jmespath", "[0]", "begins with no name", ""),
        ("jmespath", "steps.*", "as a whole", ""),
        ("jmespath", "steps", "as a whole", ""),
        ("jmespath", "steps.a", "as a whole", ""),
        ("jmespath", "lenght(value)", "'lenght'", "length"),
        ("jmespath", "value.", "no JMESPath", ""),
        ("jmespath", "value[?", "no JMESPath", ""),
        ("jmespath", "!" * 999 + "1", "no JMESPath", ""),
        ("jq", ".value", "language", ""),
    ],
)
def test_what_cannot_be_used_is_refused(
    language: str, text: str, problem: str, nearest: str
) -> None:
    found = refusal(language, text)
    assert problem in found.problem
    assert found.nearest == nearest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("value.missing", "a field that is not there"),
        ("input[9]", "an item that is not there"),
        ("value.n / 0", "divides by zero"),
        ("9223372036854775807 + value.n", "leaves the range"),
        ("value.n + 'x'", "types do not fit"),
        ("double(value.name)", "a call in it fails"),
        ("0.0 / 0.0", "JSON cannot carry"),
        ("b'raw'", "JSON cannot carry"),
        ("{1: 2}", "JSON cannot carry"),
    ],
)
def test_a_failing_expression_is_named_and_tells_no_values(text: str, problem: str) -> None:
    with pytest.raises(ExpressionFailed, match=problem) as caught:
        cel(text)
    assert "ada" not in str(caught.value)


def test_a_condition_a_case_and_a_moment_are_what_they_must_be() -> None:
    assert cel("value.n == 3", "?") is True
    assert cel("value.name", "$") == "ada"
    for kind, words in (("?", "true or false"), ("$", "name of a case"), ("@", "no moment")):
        with pytest.raises(ExpressionFailed, match=words):
            cel("value.n", kind)


def test_a_code_is_read_back_as_it_was_written() -> None:
    for code in (Code("cel", "a: b", "?"), Code("jmespath", "x"), Code("cel", "t", "@")):
        assert Code.read(str(code)) == code


# -- hostile ones: each must end within a bounded time, with a value or a named error


def bounded(language: str, text: str, scope: dict) -> str:
    began = time.perf_counter()
    try:
        Code(language, text).value(scope)
        ended = "value"
    except ExpressionFailed as error:
        ended = "costly" if "costs more" in str(error) else "failed"
    assert time.perf_counter() - began < A_SECOND_AND_A_HALF, text
    return ended


BIG = {
    "value": {"xs": list(range(20_000)), "ys": [[i] * 10 for i in range(2_000)], "s": "x" * 200_000}
}


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("value.xs.exists(i, value == value)", "costly"),
        ("value.xs.all(i, value.s + value.s != '')", "costly"),
        ("value.ys.filter(y, value.xs == value.xs)", "costly"),
        ("[value, value, value].exists(v, [v, v, v] == [value, v, v])", "costly"),
        ("value.xs.exists(i, i == 19999)", "value"),
        (" + ".join(["value.s"] * 80) + " == ''", "costly"),
        (" + ".join(["value.s"] * 4) + " == ''", "value"),
        (" + ".join(["value.xs"] * 80) + " == []", "costly"),
        ("-" * 998 + "1", "value"),
        ("!" * 990 + "true", "value"),
        ("true ? " * 120 + "1" + " : 1" * 31, "failed"),
    ],
)
def test_a_hostile_cel_expression_ends_quickly(text: str, ended: str) -> None:
    assert bounded("cel", text, BIG) == ended


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("value.xs" + " | [@, @]" * 60, "costly"),
        ("value.xs" + " | [@, @][]" * 60, "costly"),
        ("value.s" + " | [@, @]" * 60 + " | to_string(@)", "costly"),
        ("value.s | " + "to_string(" * 30 + "@" + ")" * 30, "costly"),
        ("join(value.s, map(&to_string(@), value.xs))", "costly"),
        ("value.xs" + " | [@, @]" * 8 + " | [0] == [1]", "costly"),
        ("value.ys[*][*][*] | []", "value"),
        ("sort(value.xs) | length(@)", "value"),
        ("value.xs[?@ > `5`] | length(@)", "value"),
        ("value.xs[::-1] | [0]", "value"),
        ("value" + ".a" * 450, "value"),
        ("reverse(value.s) | length(@)", "value"),
    ],
)
def test_a_hostile_jmespath_expression_ends_quickly(text: str, ended: str) -> None:
    assert bounded("jmespath", text, BIG) == ended


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["cel", "jmespath"]),
    st.text(st.sampled_from("value.input[]()*+-!?:&|'\"`@,{}0123 <>=stepouxi\\\n"), max_size=60),
)
def test_any_text_is_an_expression_or_a_named_refusal(language: str, text: str) -> None:
    with suppress(Refused, ExpressionFailed):
        Code(language, text).value(SCOPE)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=40), lambda x: st.lists(x, max_size=4)
    )
)
def test_the_measure_counts_every_node_and_stops_at_its_limit(value: object) -> None:
    units = units_of(value, 10**9)
    assert units >= json.dumps(value).count("[")
    assert units_of(value, units) == units
    if units > 1:
        with pytest.raises(TooCostly):
            units_of(value, units - 2)


def test_a_shared_value_of_endless_size_is_measured_in_bounded_time() -> None:
    value: list = []
    for _ in range(200):
        value = [value, value]
    with pytest.raises(TooCostly):
        units_of(value, 100_000)


def test_words_see_paths_and_macros_as_cel_does() -> None:
    words = words_of(
        "a.b['c'].d.size() > 1 && x.y.exists(i, i.z == q.r) // steps.no\n || \"w.x\" == w"
    )
    assert words.outside == [("a", "b", "c", "d"), ("x", "y"), ("w",)]
    assert words.inside == [("q", "r")]
    assert (words.mentions, words.macros) == (1, True)


def test_expressions_are_evaluated_by_many_threads_at_once() -> None:
    code = Code("cel", "value.items.exists(i, i.n == 2)")
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: code.value(SCOPE), range(400)))
