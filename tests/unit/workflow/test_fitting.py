# ruff: noqa: UP007, UP045 - the old spellings are under test
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict, TypeVar, Union

import pytest
from pydantic import BaseModel

from engine.workflow.fitting import described, fits


class Animal(BaseModel): ...


class Dog(Animal): ...


class Wide(TypedDict):
    a: int
    b: str


class Narrow(TypedDict):
    a: int


UserId = NewType("UserId", int)
T = TypeVar("T")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, int), (Dog, Animal), (int, float), (bool, int), (Any, int), (int, Any), (T, int),
        (int, int | str), (int | None, int | None), (Optional[int], Union[None, str, int]),
        (list[Dog], list[Animal]), (list[int], Sequence[float]), (list[int], Iterable[int]),
        (tuple[int, int], list[int]), (list[int], set[int]), (list, list[int]), (list[int], list),
        (tuple[int, str], tuple[int, str]), (tuple[int, ...], tuple[int, ...]),
        (tuple[int, int], tuple[int, ...]), (list, tuple[int, str]),
        (dict[str, int], Mapping[str, float]), (dict[str, int], dict), (None, type(None)),
        (None, None), (Annotated[int, "x"], int), (UserId, int), (Literal["a"], str),
        (Literal["a"], Literal["a", "b"]), (Wide, Narrow), (Wide, dict), (Wide, Mapping[str, Any]),
        (list[Any], list[int]), (int, object),
    ],
)  # fmt: skip
def test_fits(given: Any, wanted: Any) -> None:
    assert fits(given, wanted)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Animal, Dog), (float, int), (str, int), (int | None, int), (int | str, int),
        (list[int], list[str]), (list[int], int), (int, list[int]), (str, list[str]),
        (tuple[int, str], tuple[int, int]), (tuple[int], tuple[int, int]),
        (list[int], tuple[int, int]), (tuple[int, ...], tuple[int, int]),
        (dict[str, int], dict[str, str]), (dict, list), (None, int), (int, None),
        (Literal["a", "c"], Literal["a", "b"]), (str, Literal["a"]), (Narrow, Wide),
        (dict[str, int], Animal), (Literal[1], str), (bytes, str),
    ],
)  # fmt: skip
def test_does_not_fit(given: Any, wanted: Any) -> None:
    assert not fits(given, wanted)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"), (None, "None"), (Any, "Any"), (list[Dog], "list[Dog]"),
        (int | None, "int | None"), (Optional[Dog], "Dog | None"),
        (tuple[int, ...], "tuple[int, ...]"), (dict[str, list[int]], "dict[str, list[int]]"),
        (Literal["a"], "Literal['a']"),
    ],
)  # fmt: skip
def test_a_type_is_described_as_people_write_it(annotation: Any, text: str) -> None:
    assert described(annotation) == text
