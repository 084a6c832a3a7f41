"""The places of a run's messages follow from its plan."""

from __future__ import annotations

from engine import each, repeat, stage
from engine.workflow.compiler import compiled
from engine.workflow.positions import node_of, possible


def flows():
    @stage
    def first(n: int) -> list[int]:
        return [n]

    @stage
    def item(n: int) -> int:
        return n

    @stage
    def after(n: int) -> int:
        return n

    @stage
    def last(ns: list[int]) -> int:
        return 0

    return first, item, after, last


def test_a_chain_has_a_place_for_each_node() -> None:
    _, item, after, _ = flows()
    plan = compiled("p", item | after)
    assert possible(plan, {}) == (["0", "1", "2"], False)


def test_an_each_has_places_for_the_items_under_way_alone() -> None:
    first, item, after, last = flows()
    plan = compiled("p", first | each(item | after) | last)
    assert possible(plan, {})[0] == ["0", "1", "4", "5", "6"]
    inside = ["2.0", "3.0", "2.7", "3.7"]
    assert possible(plan, {"1": [0, 7]})[0] == ["0", "1", *inside, "4", "5", "6"]
    assert possible(plan, {"2": [0, 7]})[0] == ["0", "1", *inside, "4", "5", "6"]


def test_a_repeat_has_a_place_for_each_round_and_an_undo_one_of_its_own() -> None:
    _, item, after, _ = flows()

    def enough(n: int) -> bool:
        return n > 3

    plan = compiled("p", item.undo(after) | repeat(item, until=enough, limit=2))
    places, cut = possible(plan, {})
    assert places[:3] == ["0", "~0", "1"]
    assert {"2.0", "2.1"} <= set(places)
    assert not {"2", "2.2"} & set(places)
    assert not cut


def test_places_are_bounded_and_it_is_said() -> None:
    first, item, _, last = flows()
    plan = compiled("p", first | each(item) | last)
    places, cut = possible(plan, {"1": range(5_000)})
    assert (len(places), cut) == (2_000, True)


def test_a_position_names_its_node() -> None:
    assert [node_of(place) for place in ("3", "3.7.0", "~3")] == [3, 3, 3]
