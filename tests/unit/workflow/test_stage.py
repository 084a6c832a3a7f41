from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from engine import Retry, Stage, current, stage
from engine.errors import (
    DefinitionInvalid,
    DuplicateName,
    NameInvalid,
    OptionInvalid,
    TypesUnresolved,
    UnknownOption,
    UnknownStage,
)
from engine.workflow.context import Context
from engine.workflow.nodes import EndNode, StageNode
from engine.workflow.registry import Registry, isolated

if TYPE_CHECKING:
    from decimal import Decimal


class Push(BaseModel):
    id: int


def test_a_stage_called_is_the_plain_function() -> None:
    @stage
    def double(x: int) -> int:
        """Twice."""
        return 2 * x

    assert isinstance(double, Stage)
    assert double(4) == 8
    assert (double.__name__, double.__doc__, double.name) == ("double", "Twice.", "double")


def test_options_are_kept() -> None:
    @stage(
        name="a.b", queue="slow", retry=Retry(attempts=2), timeout="15s", priority=9, max_stalls=0
    )
    async def work(x: int) -> int:
        return x

    assert (work.name, work.queue, work.timeout_ms, work.priority) == ("a.b", "slow", 15_000, 9)
    assert (work.max_stalls, work.is_async, work.retry) == (0, True, Retry(attempts=2))
    assert work.plan().nodes == (StageNode("a.b", "slow", 1, 9), EndNode())


def test_a_misspelt_option_suggests_the_right_one() -> None:
    with pytest.raises(UnknownOption, match="Did you mean 'timeout'"):
        stage(timout="5s")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "~relay"}, NameInvalid),
        ({"name": "1st"}, NameInvalid),
        ({"queue": "a b"}, NameInvalid),
        ({"priority": 10}, OptionInvalid),
        ({"priority": True}, OptionInvalid),
        ({"max_stalls": -1}, OptionInvalid),
        ({"timeout": 0}, OptionInvalid),
        ({"retry": 5}, OptionInvalid),
    ],
)
def test_an_option_without_a_usable_value_is_refused(options: dict[str, Any], error) -> None:
    with pytest.raises(error):
        stage(**{"name": "work", **options})(lambda x: x)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(NameInvalid, match="name="):
        stage(lambda x: x)
    assert stage(name="identity")(lambda x: x)(3) == 3


def test_star_arguments_and_classes_are_no_stages() -> None:
    def spread(*args: int) -> None: ...

    with pytest.raises(DefinitionInvalid, match="by name"):
        stage(spread)
    with pytest.raises(DefinitionInvalid, match="not a function"):
        stage(Push)


def test_the_context_is_put_in_its_place() -> None:
    context = Context("r" * 32)

    @stage
    def first(ctx: Context, a: int, b: int) -> Any:
        return ctx, a, b

    @stage
    def middle(a: int, ctx: Context | None, b: int) -> Any:
        return ctx, a, b

    @stage
    def keyword(a: int, *, b: int, ctx: Context) -> Any:
        return ctx, a, b

    for made in (first, middle, keyword):
        assert made.context_parameter == "ctx"
        assert [field.name for field in made.inputs.fields] == ["a", "b"]
        assert made.invoke(made.inputs.decode(b"[1,2]"), context) == (context, 1, 2)


def test_an_async_stage_gives_its_coroutine() -> None:
    @stage
    async def late(x: int) -> int:
        return x + 1

    assert asyncio.run(late.invoke([1])) == 2


def test_the_same_function_again_replaces_and_another_is_refused(definitions: Registry) -> None:
    def define(result: int) -> Stage[..., Any]:
        @stage
        def work() -> int:
            return result

        return work

    define(1)
    second = define(2)
    assert definitions.stage("work") is second

    def other() -> None: ...

    with pytest.raises(DuplicateName, match="give it name"):
        stage(name="work")(other)


def test_looking_up_an_unknown_stage_suggests() -> None:
    stage(name="parse")(lambda: None)
    with isolated() as empty, pytest.raises(UnknownStage, match="Known: none"):
        empty.stage("parse")


def test_a_type_defined_beside_the_stage_in_a_function_is_found() -> None:
    class Local(BaseModel):
        id: int

    @stage
    def take(x: Local) -> Local:
        return x

    assert take.inputs.decode(b'{"id":3}') == [Local(id=3)]


def test_a_type_never_defined_is_a_named_error_when_needed() -> None:
    @stage
    def take(x: Decimal) -> None: ...

    with pytest.raises(TypesUnresolved, match="TYPE_CHECKING"):
        take.inputs  # noqa: B018


def test_the_current_engine_hears_of_a_stage() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.bound: list[Any] = []

        def bind(self, definition: Any) -> None:
            self.bound.append(definition)

    with current.use(Recorder()) as engine:  # type: ignore[arg-type]
        work = stage(name="work")(lambda: None)
    assert engine.bound == [work]
