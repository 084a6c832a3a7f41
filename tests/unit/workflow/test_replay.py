"""A replay begins where it was asked to, reuses what it can and ends as the run did."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import choose, each, repeat, stage, wait_for
from engine.workflow.compiler import compiled
from engine.workflow.edges import Arrive, OpenEach, OpenJoin, Send, Wait
from engine.workflow.flow import Flow
from engine.workflow.plan import Plan
from engine.workflow.replay import Past, places_of_stage, replayable, replayed
from engine.workflow.transitions import follow
from tests.unit.workflow.interpreter import Interpreter
from tests.unit.workflow.plain_flows import DEFINITIONS, FLOWS


class Recorder(Interpreter):
    """Keeps the results that the store would keep, and can begin with any edges."""

    def __init__(self, plan: Plan, seed: int = 0) -> None:
        super().__init__(plan, DEFINITIONS, seed)
        self.results: dict[str, bytes] = {}
        self.ran: list[str] = []

    def attempt(self, message: Send) -> bytes:
        result = super().attempt(message)
        self.ran.append(message.position)
        if "." not in message.position:
            self.results[message.position] = result
        return result

    def begin_with(self, edges: list[Any]) -> bytes:
        self.apply(edges)
        while self.ready:
            message = self.ready.pop(self.random.randrange(len(self.ready)))
            result = self.attempt(message)
            self.apply(follow(self.plan, message.position, result, self.registry.decide))
        assert not self.joins, "every join has fired"
        (end,) = self.ends
        return end


@settings(max_examples=300, deadline=None)
@given(flow=FLOWS, value=st.integers(0, 999), seed=st.integers(0, 99))
def test_a_run_replayed_from_any_place_it_reached_ends_the_same(
    flow: Flow, value: int, seed: int
) -> None:
    plan = compiled("any", flow)
    first = Recorder(plan, seed)
    payload = json.dumps(value).encode()
    result = first.run(payload)
    past = Past(payload, first.results, set(first.results))
    reached = {int(position.partition(".")[0]) for position in first.visited}
    for at in {node for name in plan.stages() for node in places_of_stage(plan, name)}:
        found = replayed(plan, past, at, DEFINITIONS.decide)
        if found is None:
            assert at not in reached, f"node {at} was reached and cannot be replayed from"
            continue
        second = Recorder(plan, seed + 1)
        assert second.begin_with(found.edges) == result
        assert not set(found.reused) & set(second.ran), "what is reused does not run again"
        # An each that turned out empty has a stage that never ran.
        assert at not in reached or any(p.partition(".")[0] == str(at) for p in second.ran)


def parts(*names: str) -> list[Any]:
    return [stage(name=name)(lambda x: x) for name in names]


def undecided(name: str, value: bytes) -> str:
    raise AssertionError("nothing to decide")


def past(results: dict[str, bytes], *seen: str) -> Past:
    return Past(b"0", results, {*results, *seen})


def test_a_chain_begins_at_the_stage_with_the_result_before_it() -> None:
    a, b, c = parts("a", "b", "c")
    plan = compiled("p", a | b | c)
    found = replayed(plan, past({"0": b"1", "1": b"2"}, "2"), 2, undecided)
    assert found is not None
    assert found.edges == [Send("2", "c", "default", None, b"2")]
    assert (found.reused, found.again) == (("0", "1"), ())
    whole = replayed(plan, past({"0": b"1"}, "1"), 0, undecided)
    assert whole is not None
    assert whole.edges == [Send("0", "a", "default", None, b"0")]


def test_a_branch_begins_alone_and_the_other_arrives_with_its_result() -> None:
    a, b, c, d = parts("a", "b", "c", "d")
    plan = compiled("p", a | (b & c) | d)
    found = replayed(plan, past({"0": b"1", "2": b"2", "3": b"3", "5": b"4"}), 3, undecided)
    assert found is not None
    assert found.edges == [
        OpenJoin("4", 2, "5", "d", "default", None),
        Arrive("4", 0, b"2"),
        Send("3", "c", "default", None, b"1"),
    ]
    behind = replayed(plan, past({"0": b"1", "2": b"2", "3": b"3", "5": b"4"}), 5, undecided)
    assert behind is not None
    assert behind.edges[1:] == [Arrive("4", 0, b"2"), Arrive("4", 1, b"3")]


def test_branches_whose_join_has_a_result_are_skipped_with_all_that_is_in_them() -> None:
    a, b, c, d, e = parts("a", "b", "c", "d", "e")
    plan = compiled("p", a | ((b & c) & each(d)) | e | a)
    last = len(plan.nodes) - 2
    results = {"0": b"[1]", str(last - 1): b"7"}
    found = replayed(plan, past(results, str(last)), last, undecided)
    assert found is not None
    assert found.edges == [Send(str(last), "a", "default", None, b"7")]


def test_an_each_runs_again_for_the_stage_behind_it_and_that_is_told() -> None:
    a, b, c, d = parts("a", "b", "c", "d")
    plan = compiled("p", a | each(b) | c | d)
    results = {"0": b"[1,2]", "4": b"3", "5": b"4"}
    again = replayed(plan, past(results), 4, undecided)
    assert again is not None
    assert isinstance(again.edges[0], OpenEach)
    assert again.again == ("2",)
    skipped = replayed(plan, past(results), 5, undecided)
    assert skipped is not None
    assert skipped.edges == [Send("5", "d", "default", None, b"3")]
    inside = replayed(plan, past(results), 2, undecided)
    assert inside is not None
    assert inside.reused == ("0",)


def test_what_a_run_never_got_to_is_no_place_and_the_others_are_named() -> None:
    a, b, c, d = parts("a", "b", "c", "d")
    plan = compiled("p", a | each(b) | c | d)
    failed = past({"0": b"[1]"})  # an item died
    assert replayed(plan, failed, 4, undecided) is None
    assert replayable(plan, failed, undecided) == ["a", "b"]

    def pick(x: int) -> str:
        return "left"

    chosen = compiled("p", a | choose(pick, {"left": b, "right": c}) | d)
    done = past({"0": b"1", "2": b"2", "4": b"3"})
    assert replayable(chosen, done, lambda _n, _v: "left") == ["a", "b", "d"]


def test_a_branch_beside_the_stage_that_never_ran_runs_then() -> None:
    a, b, c, d = parts("a", "b", "c", "d")
    plan = compiled("p", (a & (b | c)) | d)
    found = replayed(plan, past({"2": b"1"}, "1"), 1, undecided)
    assert found is not None
    assert found.edges[1:] == [
        Send("1", "a", "default", None, b"0"),
        Send("3", "c", "default", None, b"1"),
    ]
    assert found.again == ("3",)


def test_a_wait_is_skipped_where_what_it_led_to_has_a_result() -> None:
    a, b, c = parts("a", "b", "c")
    plan = compiled("p", a | wait_for("ok") | b | c)
    done = past({"0": b"1", "2": b"2", "3": b"3"})
    found = replayed(plan, done, 3, undecided)
    assert found is not None
    assert found.edges == [Send("3", "c", "default", None, b"2")]
    waits = replayed(plan, done, 2, undecided)
    assert waits is not None
    assert (type(waits.edges[0]), waits.again) == (Wait, ("1",))


def test_the_new_run_does_not_undo_what_the_old_one_did() -> None:
    a, b, c = parts("a", "b", "c")
    plan = compiled("p", a.undo(b) | c)
    found = replayed(plan, past({"0": b"1", "1": b"2"}), 1, undecided)
    assert found is not None
    assert found.edges == [Send("1", "c", "default", None, b"1")]


def test_positions_that_bear_the_runs_input() -> None:
    a, b, c = parts("a", "b", "c")

    def pick(x: int) -> str:
        return "left"

    def enough(x: int) -> bool:
        return True

    shapes = {
        ("0",): a | b,
        ("1",): (a & b) | c,
        ("1", "2"): choose(pick, {"left": a, "right": b}) | c,
        ("1.0",): repeat(a, until=enough, limit=2),
        (): each(a) | b,
    }
    for expected, flow in shapes.items():
        assert compiled("p", flow).bearers == frozenset(expected), flow
    assert compiled("p", (each(a) & b) | c).bearers == frozenset({"5"})
    assert compiled("p", wait_for("ok") | a).bearers == frozenset()

    def pick_list(x: list[int]) -> str:
        return "left"

    mixed = choose(pick_list, {"left": a, "right": each(b)})
    assert compiled("p", mixed | c).bearers == frozenset()
