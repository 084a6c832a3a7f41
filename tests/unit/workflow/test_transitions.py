from __future__ import annotations

import pytest

from engine import Pipeline, choose, each, stage
from engine.errors import NoCaseMatches, PayloadInvalid
from engine.workflow.edges import Arrive, End, First, OpenEach, OpenJoin, Send
from engine.workflow.flow import Flow
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.transitions import begin, follow, joined


@pytest.fixture
def parts() -> dict[str, Flow]:
    return {name: stage(name=name, queue=f"q-{name}")(lambda x: x) for name in "abcd"}


def planned(flow: object) -> Plan:
    return Pipeline("p", flow).plan()


def undecided(name: str, value: bytes) -> str:
    raise AssertionError("nothing to decide")


def test_a_sequence_sends_the_next_stage_and_ends(parts) -> None:
    plan = planned(parts["a"] | parts["b"])
    assert begin(plan, b"1", undecided) == [Send("0", "a", "q-a", None, b"1")]
    assert follow(plan, "0", b"2", undecided) == [Send("1", "b", "q-b", None, b"2")]
    assert follow(plan, "1", b"3", undecided) == [End(b"3")]


def test_a_group_opens_its_join_before_its_branches(parts) -> None:
    plan = planned(parts["a"] | (parts["b"] & parts["c"]) | parts["d"])
    assert follow(plan, "0", b"1", undecided) == [
        OpenJoin("4", 2, "5", "d", "q-d", None),
        Send("2", "b", "q-b", None, b"1"),
        Send("3", "c", "q-c", None, b"1"),
    ]
    assert follow(plan, "3", b"9", undecided) == [Arrive("4", 1, b"9")]
    assert joined([b"8", b"9"]) == b"[8,9]"


def test_a_join_that_leads_to_no_stage_leads_to_a_relay_on_the_nearest_queue(parts) -> None:
    plan = planned(parts["a"] & parts["b"])
    opened, *_ = begin(plan, b"1", undecided)
    assert opened == OpenJoin("3", 2, "4", "~relay", "q-b", None)
    assert follow(plan, "4", b"[1,2]", undecided) == [End(b"[1,2]")]


def test_an_each_opens_with_raw_items_and_a_window(parts) -> None:
    plan = planned(each(parts["a"] | parts["b"], window=2) | parts["c"])
    items = [b'{"x": 1}', b"2", b'"]"']
    assert begin(plan, b'[{"x": 1}, 2,"]"]', undecided) == [
        OpenEach(
            "0", items, 2, First("1", "a", "q-a", None), OpenJoin("3", 3, "4", "c", "q-c", None)
        )
    ]
    assert follow(plan, "1.2", b"5", undecided) == [Send("2.2", "b", "q-b", None, b"5")]
    assert follow(plan, "2.2", b"6", undecided) == [Arrive("3", 2, b"6")]


def test_a_long_list_is_opened_in_slices(parts) -> None:
    plan = planned(each(parts["a"], window=2))
    (opened,) = begin(plan, joined(str(i).encode() for i in range(2_500)), undecided)
    assert (len(opened.items), opened.join.members) == (1_000, -1)
    assert (opened.more.position, opened.more.stage) == ("0.1", "~relay")
    (second,) = follow(plan, "0.1", opened.more.input, undecided)
    assert (second.each, second.join, second.items[0], len(second.items)) == (
        "0",
        "2",
        b"1000",
        1_000,
    )
    (third,) = follow(plan, "0.2", second.more.input, undecided)
    assert (third.items[0], len(third.items), third.more) == (b"2000", 500, None)


def test_an_each_over_nothing_goes_straight_on(parts) -> None:
    plan = planned(each(parts["a"]) | parts["c"])
    assert begin(plan, b" [ ] ", undecided) == [Send("3", "c", "q-c", None, b"[]")]


def test_nested_eaches_nest_positions_and_begin_with_a_relay(parts) -> None:
    plan = planned(each(each(parts["a"])))
    (outer,) = begin(plan, b"[[1],[2,3]]", undecided)
    assert outer.first == First("1", "~relay", "q-a", None)
    (inner,) = follow(plan, "1.1", b"[2,3]", undecided)
    assert (inner.each, inner.first.position, inner.join.join) == ("2.1", "3.1", "4.1")
    assert follow(plan, "3.1.0", b"9", undecided) == [Arrive("4.1", 0, b"9")]
    assert follow(plan, "5.1", b"[9,9]", undecided) == [Arrive("6", 1, b"[9,9]")]


@pytest.mark.parametrize("payload", [b"1", b"{}", b"[1,", b"null", b"\xff"])
def test_an_each_over_no_list_is_refused(parts, payload: bytes) -> None:
    with pytest.raises(PayloadInvalid, match="list_type"):
        begin(planned(each(parts["a"])), payload, undecided)


def test_a_choose_sends_the_case_decided_on(parts, definitions: Registry) -> None:
    def sign(x: int) -> str:
        return "minus" if x < 0 else "plus" if x else "zero"

    strict = planned(choose(sign, {"minus": parts["a"], "plus": parts["b"]}) | parts["c"])
    assert begin(strict, b"-1", definitions.decide) == [Send("1", "a", "q-a", None, b"-1")]
    assert begin(strict, b"1", definitions.decide) == [Send("2", "b", "q-b", None, b"1")]
    assert follow(strict, "1", b"7", undecided) == follow(strict, "2", b"7", undecided)
    with pytest.raises(NoCaseMatches, match="otherwise"):
        begin(strict, b"0", definitions.decide)
    lenient = Pipeline("q", choose(sign, {"minus": parts["a"]}, otherwise=parts["d"])).plan()
    assert begin(lenient, b"0", definitions.decide) == [Send("2", "d", "q-d", None, b"0")]


def test_a_decided_value_of_another_type_is_refused_by_name(parts, definitions: Registry) -> None:
    def sign(x: int) -> str:
        return "any"

    plan = planned(choose(sign, {"any": parts["a"]}))
    with pytest.raises(PayloadInvalid, match="sign"):
        begin(plan, b'"no number"', definitions.decide)
