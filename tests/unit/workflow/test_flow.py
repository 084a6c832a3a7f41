from __future__ import annotations

from typing import Any

import pytest

from engine import Pipeline, choose, each, stage
from engine.errors import (
    DefinitionInvalid,
    DuplicateName,
    NameInvalid,
    OptionInvalid,
    TypesDoNotFit,
    TypesUnresolved,
)
from engine.workflow.flow import Chain, Parallel


@stage(name="to_int")
def to_int(x: str) -> int:
    return int(x)


@stage(name="to_str")
def to_str(x: int) -> str:
    return str(x)


@stage(name="pair")
def pair(a: int, b: str) -> list[int]:
    return [a]


@stage(name="whole")
def whole(both: tuple[int, str]) -> None: ...


@stage(name="untyped")
def untyped(x): ...


@stage(name="ignorant")
def ignorant() -> str:
    return ""


def test_sequences_and_groups_are_flattened() -> None:
    chain = to_int | (to_str | to_int) | to_str
    group = (to_str & to_str) & to_str
    assert isinstance(chain, Chain)
    assert len(chain.parts) == 4
    assert isinstance(group, Parallel)
    assert len(group.branches) == 3


def test_a_mismatch_names_both_stages_and_both_types() -> None:
    with pytest.raises(TypesDoNotFit) as caught:
        to_int | to_int
    error = caught.value
    assert (error.giver, error.gives, error.taker, error.takes) == (
        "to_int",
        "int",
        "to_int",
        "str",
    )
    assert "'to_int' gives int, but 'to_int' takes str" in str(error)


def test_after_a_group_a_stage_takes_one_parameter_a_branch_or_the_tuple() -> None:
    branches = to_int & (to_int | to_str)
    assert isinstance(branches | pair, Chain)
    assert isinstance(branches | whole, Chain)
    assert isinstance(branches | ignorant, Chain)
    assert isinstance(branches | untyped, Chain)
    with pytest.raises(TypesDoNotFit, match=r"gives tuple\[str, int\], but 'pair' takes"):
        ((to_int | to_str) & to_int) | pair
    with pytest.raises(TypesDoNotFit):
        (branches & to_int) | pair


def test_every_branch_must_take_what_comes() -> None:
    with pytest.raises(TypesDoNotFit, match="'to_int' takes str"):
        to_int | (to_str & to_int)


def test_each_maps_lists() -> None:
    mapped = pair | each(to_str) | each(to_int)
    assert mapped.gives() == list[int]
    with pytest.raises(TypesDoNotFit, match=r"each\(to_int\)"):
        pair | each(to_int)
    with pytest.raises(TypesDoNotFit):
        to_int | each(to_str)


@pytest.mark.parametrize("window", [0, 257, 1.5, True, "9"])
def test_a_window_out_of_bounds_is_refused(window: Any) -> None:
    with pytest.raises(OptionInvalid, match="window"):
        each(to_int, window=window)


def test_cases_take_the_same_and_give_a_union() -> None:
    def sign(x: int) -> str:
        return "minus" if x < 0 else "plus"

    flow = choose(sign, {"minus": to_str, "plus": to_str | to_int})
    assert flow.gives() == str | int
    with pytest.raises(TypesDoNotFit, match=r"gives str \| int"):
        flow | to_int
    with pytest.raises(TypesDoNotFit, match="'sign' takes int, but 'to_int' takes str"):
        choose(sign, {"minus": to_int})
    with pytest.raises(OptionInvalid):
        choose(sign, {})


def test_a_decider_needs_a_name_of_its_own() -> None:
    with pytest.raises(NameInvalid, match="named function"):
        choose(lambda x: "a", {"a": to_str})

    def pick(x: int) -> str:
        return "a"

    first = pick

    def outer() -> Any:
        def pick(x: int) -> str:
            return "b"

        return pick

    choose(first, {"a": to_str})
    choose(first, {"a": to_str})
    with pytest.raises(DuplicateName, match="rename the function"):
        choose(outer(), {"a": to_str})


def test_a_plain_function_is_refused_on_either_side() -> None:
    def plain(x: int) -> int:
        return x

    for compose in (lambda: to_int | plain, lambda: plain | to_int, lambda: to_int & plain):
        with pytest.raises(DefinitionInvalid, match="@stage"):
            compose()


def test_a_forward_reference_defers_the_check_to_the_plan() -> None:
    @stage
    def early(x: Later) -> Later:  # noqa: F821 - defined further down
        return x

    flow = early | to_int
    pipeline = Pipeline("forward", flow)
    with pytest.raises(TypesUnresolved, match="Later"):
        pipeline.plan()
    globals()["Later"] = int
    try:
        with pytest.raises(TypesDoNotFit):
            pipeline.plan()
    finally:
        del globals()["Later"]
