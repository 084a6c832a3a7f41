"""What an input that has changed still takes: judged before a message of the old kind arrives."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field

from engine.workflow.narrowing import narrowed
from engine.workflow.payload import Field as Parameter
from engine.workflow.payload import InputCodec
from engine.workflow.shapes import shape_of


class Item(BaseModel):
    name: str
    cents: int


class Order(BaseModel):
    """As it was."""

    id: str
    items: list[Item] = []
    note: str | None = None


class Noted(BaseModel):
    """As `Order`, but for words, and with one more field that can be left out."""

    id: str = Field(title="Number", description="any", alias="number")
    items: list[Item] = Field([], examples=[[]])
    note: str | None = "none"
    gift: bool = False


class Signed(BaseModel):
    id: str
    items: list[Item] = []
    note: str | None = None
    signature: str


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    items: list[Item] = []


class Renamed(BaseModel):
    id: int
    items: list[Item] = []


class Weighed(BaseModel):
    id: str
    items: list[Weight] = []  # type: ignore[name-defined]


class Weight(BaseModel):
    name: str
    cents: str


class Tree(BaseModel):
    name: str
    twigs: list[Tree] = []


class OtherTree(BaseModel):
    name: str | int
    twigs: list[OtherTree] = []


class NumberedTree(BaseModel):
    name: str
    twigs: list[NumberedTwig] = []  # type: ignore[name-defined]


class NumberedTwig(BaseModel):
    name: int
    twigs: list[NumberedTree] = []


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Opaque:
    """Nothing that JSON Schema knows."""


def shape(*annotations: Any, defaults: int = 0) -> dict[str, Any]:
    fields = [Parameter(f"p{n}", annotation) for n, annotation in enumerate(annotations)]
    for n in range(len(fields) - defaults, len(fields)):
        fields[n] = fields[n]._replace(default=None)
    return shape_of(InputCodec("owner", fields))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (int, int),
        (int, float),
        (int, Any),
        (Any, int),  # what takes anything cannot be judged
        (int, int | str),
        (Literal["a"], Literal["a", "b"]),
        (Literal["a"], str),
        (Literal["red"], Colour),
        (Colour, str),
        (Literal[1], float),
        (Optional[int], int | str | None),  # noqa: UP045 - written in both ways
        (Order, Noted),
        (Order, dict),
        (Order, dict[str, Any]),
        (Item, dict[str, str | int]),
        (list[Order], list[Noted]),
        (list[int], tuple[int, ...]),
        (list[int], set[int]),
        (tuple[int, str], list[int | str]),
        (dict[str, int], dict[str, float]),
        (Tree, Tree),
        (Tree, OtherTree),
        (Annotated[int, Field(ge=5, lt=9)], Annotated[int, Field(ge=1, lt=9)]),
    ],
)
def test_a_wider_input_takes_all_that_was_taken(old: Any, new: Any) -> None:
    assert narrowed(shape(old), shape(new)) is None


@pytest.mark.parametrize(
    ("old", "new", "misfit"),
    [
        (int, str, "takes string, was integer"),
        (float, int, "takes integer, was number"),
        (int | str, int, "takes integer, was string"),
        (int | None, int, "takes integer, was null"),
        (bool, int | str, "boolean is not taken"),
        (Literal["a", "b"], Literal["a"], "'b' is not taken"),
        (str, Literal["a"], "string is not taken"),
        (Literal["a"], int, "takes integer, was string"),
        (Order, Signed, "field 'signature' is now required"),
        (Order, Strict, "field 'note' is forbidden"),
        (Order, Renamed, "id: takes integer, was string"),
        (Order, Weighed, "items[].cents: takes string, was integer"),
        (Order, list[int], "takes array, was object"),
        (Item, dict[str, str], "cents: takes string, was integer"),
        (dict[str, int], dict[str, str], "*: takes string, was integer"),
        (list[int], tuple[int, int], "minItems is 2"),
        (tuple[int, str], tuple[int, int], "[1]: takes integer, was string"),
        (tuple[int, str], list[int], "[1]: takes integer, was string"),
        (tuple[int, int, int], tuple[int, int], "maxItems is 2, was 3"),
        (Tree, NumberedTree, "twigs[].name: takes integer, was string"),
        (str, date, "format is date"),
        (int, Annotated[int, Field(ge=1)], "minimum is 1"),
        (Annotated[str, Field(max_length=9)], Annotated[str, Field(max_length=5)], "maxLength is"),
        (Opaque, Order, "takes object, was Opaque"),
    ],
)
def test_a_narrower_input_is_told_with_its_place(old: Any, new: Any, misfit: str) -> None:
    found = narrowed(shape(old), shape(new))
    assert found is not None
    assert found.startswith(misfit)


def test_parameters_are_compared_in_their_order() -> None:
    assert narrowed(shape(int, str), shape(int, str, bool, defaults=1)) is None
    assert narrowed(shape(int, str), shape()) is None
    assert narrowed(shape(), shape(int)) is None
    assert narrowed(shape(int, str), shape(int, str, bool)) == "minItems is 3, was 2"
    assert narrowed(shape(int, str), shape(int)) == "takes integer, was array"
    assert narrowed(shape(int, str), shape(str, int)) == "[0]: takes string, was integer"
    assert narrowed(shape(int), shape(int, int, defaults=1)) == "takes array, was integer"


def test_words_about_a_type_do_not_change_its_shape() -> None:
    class Plain(BaseModel):
        title: str
        description: int = 1

    class Told(BaseModel):
        """Told."""

        title: str = Field(title="T", description="d")
        description: int = Field(7, deprecated=True)

    plain, told = shape(Plain), shape(Told)
    assert plain == told
    assert set(plain["properties"]) == {"title", "description"}


def test_a_type_that_json_schema_does_not_know_is_known_by_its_name() -> None:
    assert shape(Opaque) == {"x-type": "Opaque"}
    assert narrowed(shape(Opaque), shape(Opaque)) is None
    assert narrowed(shape(Order), shape(Opaque)) == "takes Opaque, was object"
