from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from inspect import Parameter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, computed_field
from pydantic import Field as Aliased
from typing_extensions import TypedDict

from engine.errors import DefinitionInvalid, PayloadInvalid
from engine.workflow.payload import Field, InputCodec, OutputCodec


class Push(BaseModel):
    id: int
    by: str = Aliased("x", alias="sender")


class Strict(BaseModel, extra="forbid"):
    side: int

    @computed_field
    def area(self) -> int:
        return self.side**2


@dataclass
class Point:
    x: int
    y: float


class Movie(TypedDict):
    name: str


class Color(Enum):
    RED = "red"


def codec(*annotations: Any) -> InputCodec:
    return InputCodec("work", [Field(f"p{i}", one) for i, one in enumerate(annotations)])


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 3),
        (float, 2.5),
        (float, float("inf")),
        (str, "ü"),
        (bytes, b"\xff\x00"),
        (None, None),
        (list[int], [1, 2]),
        (dict[str, Point], {"a": Point(1, 2.0)}),
        (Push, Push(id=1, sender="me")),
        (Push | None, None),
        (Strict, Strict(side=2)),
        (Point, Point(1, 2.0)),
        (Movie, {"name": "M"}),
        (Color, Color.RED),
        (datetime, datetime(2026, 1, 2, tzinfo=UTC)),
        (tuple[int, str], (1, "a")),
    ],
)
def test_what_one_stage_gives_the_next_can_read(annotation: Any, value: Any) -> None:
    raw = OutputCodec("work", annotation).encode(value)
    assert codec(annotation).decode(raw) == [value]
    assert OutputCodec("work", annotation).decode(raw) == value


def test_an_outsider_may_use_the_alias() -> None:
    assert codec(Push).decode(b'{"id":1,"sender":"s"}') == codec(Push).decode(b'{"id":1,"by":"s"}')


def test_none_is_null_with_and_without_annotation() -> None:
    for annotation in (Parameter.empty, Any, None):
        assert OutputCodec("work", annotation).encode(None) == b"null"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values)
def test_untyped_values_pass_as_they_are(value: Any) -> None:
    untyped = codec(Parameter.empty)
    assert untyped.decode(OutputCodec("work", Parameter.empty).encode(value)) == [value]


def test_untyped_results_may_be_models_and_dataclasses() -> None:
    encode = OutputCodec("work", Parameter.empty).encode
    assert encode([Push(id=1), Point(1, 2.0)]) == b'[{"id":1,"by":"x"},{"x":1,"y":2.0}]'


def test_several_parameters_are_an_array_one_is_itself_none_is_anything() -> None:
    assert codec(int, str).encode((1, "a")) == b'[1,"a"]'
    assert codec(int, str).decode(b'[1,"a"]') == [1, "a"]
    assert codec(list[int]).decode(b"[1,2]") == [[1, 2]]
    assert codec().encode(()) == b"null"
    assert codec().decode(b'{"left":"over"}') == []


def test_defaults_fill_what_an_older_sender_left_out() -> None:
    grown = InputCodec("work", [Field("a", int), Field("b", int), Field("c", int, 7)])
    assert grown.decode(b"[1,2]") == [1, 2, 7]
    assert grown.decode(b"[1,2,3]") == [1, 2, 3]
    assert grown.encode((1,), {"b": 2}) == b"[1,2,7]"
    for raw in (b"[1]", b"[1,2,3,4]", b"3", b"[1,"):
        with pytest.raises(PayloadInvalid):
            grown.decode(raw)


@pytest.mark.parametrize("args", [(), (1, 2, 3)])
def test_a_wrong_number_of_inputs_is_a_type_error(args: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="work"):
        codec(int, int).encode(args)


def test_a_value_that_converts_is_accepted_when_sent() -> None:
    assert codec(Push).encode(({"id": "5"},)) == b'{"id":5,"by":"x"}'
    assert OutputCodec("work", float).encode(3) in (b"3", b"3.0")


def test_a_wrong_value_is_refused_by_the_sender() -> None:
    with pytest.raises(PayloadInvalid, match="result of 'work'"):
        OutputCodec("work", Push).encode(None)
    with pytest.raises(PayloadInvalid):
        codec(Push, int).encode((None, 1))
    with pytest.raises(PayloadInvalid):
        OutputCodec("work", Parameter.empty).encode(object())


def test_none_passes_where_the_type_allows_it() -> None:
    assert codec(Push | None, int).encode((None, 1)) == b"[null,1]"
    assert OutputCodec("work", Push | None).encode(None) == b"null"


def test_a_type_that_has_no_json_form_is_a_named_error() -> None:
    class Opaque: ...

    with pytest.raises(DefinitionInvalid, match="input 'p0' of 'work'"):
        codec(Opaque).decode(b"{}")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"nul", b'{"id":"secret-token"}', b'{"id":{"a":["secret-token"]}}']
)
def test_a_refusal_names_place_and_kind_but_no_value(raw: bytes) -> None:
    with pytest.raises(PayloadInvalid) as caught:
        codec(Push).decode(raw)
    assert "'work'" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_refusal_lists_every_problem() -> None:
    with pytest.raises(PayloadInvalid) as caught:
        codec(Push, int).decode(b'[{},"x"]')
    assert [tuple(problem) for problem in caught.value.problems] == [
        ("0.id", "missing"),
        ("1", "int_parsing"),
    ]
