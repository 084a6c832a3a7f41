"""A plan draws itself, and a run on it: as Mermaid and as SVG."""

from __future__ import annotations

import re

import pytest

from engine import Page, Pipeline, choose, each, first, gather, repeat, sleep, stage, wait_for
from engine.errors import UnknownFormat
from engine.workflow.drawing import FORMATS, draw
from engine.workflow.flow import Flow
from engine.workflow.nodes import ChooseNode, EndNode, StageNode
from engine.workflow.plan import Plan
from engine.workflow.run import JoinView, RunState, RunView, StageView
from tests.unit.workflow.pictures import Drawn

HOSTILE = "\"]<script>alert('x')</script>&amp;\x00\x1b\ufffe\u202e%%{init: {}}%%\n`#quot;"


@pytest.fixture
def parts() -> dict[str, Flow]:
    return {name: stage(name=name)(lambda x: x) for name in "abcdefg"}


def enough(x: object) -> bool:
    return True


def family(x: object) -> str:
    return "code"


def planned(flow: object) -> Plan:
    return Pipeline("p", flow).plan()


def seen(position: str, state: str = "done", attempts: int = 1, run_ms: int = 40) -> StageView:
    return StageView(
        position=position, stage="s", state=state, attempts=attempts, wait_ms=5, run_ms=run_ms
    )


def view(plan: Plan, *stages: StageView, state: str = "running", joins=()) -> RunView:
    return RunView(
        id="0" * 32,
        pipeline="p",
        state=RunState(state),
        tenant="t",
        stages=stages,
        joins=joins,
        plan=plan,
    )


def labels(plan: Plan, *stages: StageView, **known) -> list[str]:
    """What a screen reader says of each node."""
    drawn = Drawn(draw(plan, "svg", view(plan, *stages, **known)))
    return [drawn.named(number) for number in range(len(plan.nodes))]


def says(text: str, *lines: str) -> None:
    for line in lines:
        assert line in text.splitlines() or f"    {line}" in text.splitlines(), f"{line}\n{text}"


def test_stages_lead_to_each_other_and_undos_come_back_dashed(parts) -> None:
    plan = planned(parts["a"].undo(parts["b"]) | parts["c"])
    says(
        draw(plan),
        'n0["a"]',
        'u0["b<br/>undo"]',
        "n0 --> n1",
        "n0 -.-> u0",
        'n2(["end"])',
    )
    drawn = Drawn(draw(plan, "svg"))
    assert [(len(drawn.nodes), len(drawn.undos), len(drawn.arrows))] == [(3, 1, 3)]
    [dashed] = [arrow for arrow in drawn.arrows if "stroke-dasharray" in arrow.attrib]
    assert "marker-start" in dashed.attrib
    assert dashed.attrib["id"].endswith("-n0-u0")


@pytest.mark.parametrize(
    ("group", "policy"),
    [
        (gather, "join: all of 3"),
        (lambda a, b, c: gather(a, b, c, need="ended"), "join: all 3 ended"),
        (lambda a, b, c: gather(a, b, c, need=2), "join: 2 of 3"),
        (first, "join: first of 3"),
        (lambda a, b, c: each(a), "join: every item"),
    ],
)
def test_a_join_says_how_many_must_come(parts, group, policy: str) -> None:
    plan = planned(group(parts["a"], parts["b"], parts["c"]))
    assert policy in draw(plan)
    assert policy in Drawn(draw(plan, "svg")).texts


def test_an_each_says_its_window_its_pages_and_whether_it_collects(parts) -> None:
    @stage
    def reader(mark: int) -> Page[int, int]:
        return Page()

    text = draw(planned(each(parts["a"], window=7, on_error="collect", pages=reader)))
    says(
        text,
        'n0[/"each, 7 at a time<br/>errors collected"/]',
        'n1["reader<br/>page by page"]',
        'n0 -->|"pages"| n1',
        'n0 -->|"item"| n2',
        'n1 -->|"items"| n0',
    )


def test_a_choice_names_its_cases(parts) -> None:
    text = draw(planned(choose(family, {"code": parts["a"]}, otherwise=parts["b"])))
    says(text, 'n0{"family"}', 'n0 -->|"code"| n1', 'n0 -->|"otherwise"| n2')


def test_sleeps_waits_and_children_say_what_and_how_long(parts) -> None:
    child = Pipeline("inner", parts["a"])
    flow = sleep("1h30m") | wait_for("ok", timeout="7d", otherwise=parts["b"]) | child
    says(
        draw(planned(flow)),
        'n0("sleep 1h30m")',
        'n1[/"wait for ok"/]',
        'n1 -->|"after 7d"| n2',
        'n4[["inner<br/>pipeline"]]',
        'n5((" "))',
    )
    assert "fails after 2s" in draw(Pipeline("q", wait_for("ok", timeout="2s")).plan())


def test_a_repeat_leads_back_until_its_function_is_content(parts) -> None:
    plan = planned(repeat(parts["a"], until=enough, limit=1_500, every="10s"))
    says(
        draw(plan),
        'n0{{"repeat until enough<br/>at most 1,500 rounds<br/>every 10s"}}',
        'n3 -->|"again until enough"| n0',
    )
    drawn = Drawn(draw(plan, "svg"))
    assert "again until enough" in drawn.texts


def test_another_format_is_refused_by_name(parts) -> None:
    assert FORMATS == ("mermaid", "svg")
    with pytest.raises(UnknownFormat, match="Did you mean 'svg'") as refused:
        Pipeline("p", parts["a"]).draw("svgg")
    assert refused.value.code == "unknown_format"


@pytest.mark.parametrize("way", FORMATS)
def test_a_picture_is_the_same_every_time(parts, way: str) -> None:
    plan = planned((parts["a"] & parts["b"]) | each(parts["c"]))
    assert draw(plan, way) == draw(Plan.from_json(plan.to_json()), way)


def test_hostile_names_stay_text() -> None:
    nodes = (
        ChooseNode(HOSTILE, {HOSTILE: 1}, 1),
        StageNode(HOSTILE, "q", 2),
        EndNode(),
    )
    plan = Plan(HOSTILE, nodes)
    svg = draw(plan, "svg")
    drawn = Drawn(svg)  # well-formed
    assert {element.tag.rpartition("}")[2] for element in drawn.root.iter()} == {
        "svg", "title", "desc", "style", "defs", "marker", "rect", "path", "text", "g", "polygon",
    }  # fmt: skip
    assert not re.search(r"script[^&]*\(", re.sub(r"<(title|desc|text).*?</\1>", "", svg))
    assert svg.encode()
    mermaid = draw(plan)
    assert mermaid.encode()
    assert len(mermaid.splitlines()) == 1 + 3 + 3
    for line in mermaid.splitlines()[1:]:
        label = re.fullmatch(r'[^"]*"([^"]*)"[^"]*|[^"]*', line)
        assert label, f"a quote is open: {line}"
        assert not set(label[1] or "") & set("<>&%`\\\x00"), line


def test_a_picture_needs_nothing_from_elsewhere_and_speaks_to_readers(parts) -> None:
    svg = draw(planned(parts["a"] | parts["b"]), "svg")
    drawn = Drawn(svg)
    title, desc = drawn.root[0], drawn.root[1]
    assert (title.text, drawn.root.attrib["role"]) == ("p", "img")
    assert desc.text
    assert "3 nodes" in desc.text
    assert drawn.root.attrib["aria-labelledby"] == f"{title.attrib['id']} {desc.attrib['id']}"
    assert not re.search(r"href|<script|@import|https?://(?!www\.w3\.org/2000/svg)", svg)
    assert "prefers-color-scheme: dark" in svg


# -- runs


def test_a_run_shows_what_is_done_what_is_under_way_and_what_is_not_begun(parts) -> None:
    plan = planned(parts["a"] | parts["b"] | parts["c"])
    retried = labels(plan, seen("0", attempts=3), seen("1", "open", attempts=2))
    assert retried[0] == "a, wait 5 ms, run 40 ms, 2 retries, done"
    assert retried[1] == "b, wait 5 ms, run 40 ms, 1 retry, trying again"
    assert retried[2:] == ["c, not begun", "end, not begun"]
    opened = StageView(position="1", stage="b", state="open", attempts=1)
    assert labels(plan, seen("0"), opened)[1] == "b, under way"


def test_a_run_in_mermaid_has_a_class_for_every_state(parts) -> None:
    plan = planned(parts["a"] | parts["b"])
    text = draw(plan, "mermaid", view(plan, seen("0", run_ms=61_500), seen("1", "open")))
    says(text, 'n0["a<br/>wait 5 ms, run 1m1s<br/>done"]', "class n0 done", "class n1 active")
    says(text, "class n2 idle")


def test_a_death_is_caught_where_a_join_goes_on_without_it(parts) -> None:
    racing = planned(first(parts["a"], parts["b"]))
    assert labels(racing, seen("1", "dead"))[1].endswith("caught")
    together = planned(parts["a"] & parts["b"])
    dead = labels(together, seen("1", "dead"), state="failed")
    assert dead[1].endswith("dead")
    assert dead[-1] == "end, failed, not begun"


def test_what_was_taken_back_is_undone(parts) -> None:
    plan = planned(parts["a"].undo(parts["b"]) | parts["c"])
    run = view(plan, seen("0"), seen("1", "dead"), seen("~0"), state="failed")
    text = draw(plan, "mermaid", run)
    says(text, "class n0 undone", "class u0 done", "class n1 dead")


def test_a_join_under_way_counts_who_has_come(parts) -> None:
    plan = planned((parts["a"] & parts["b"]) | parts["c"])
    waiting = [JoinView(position="3", arrived=1, members=2)]
    under_way = labels(plan, seen("1"), seen("2", "open"), joins=waiting)
    assert under_way[0] == "fork, done"
    assert under_way[3] == "join: all of 2, 1 of 2, under way"
    over = labels(plan, seen("1"), seen("2"), seen("4"), state="completed")
    assert [label.rpartition(", ")[2] for label in over] == ["done"] * 6


def test_items_of_an_each_are_counted_together(parts) -> None:
    plan = planned(parts["a"] | each(parts["b"]) | parts["c"])
    items = [seen(f"2.{n}", run_ms=100 * n) for n in range(3)]
    joins = [JoinView(position="3", arrived=3, members=8)]
    counted = labels(plan, seen("0"), *items, seen("2.3", "open"), joins=joins)
    assert counted[2] == "b, 3 of 8, wait 5 ms, run 85 ms on average, under way"
    assert counted[3] == "join: every item, 3 of 8, under way"


def test_items_without_a_record_are_as_far_as_their_each(parts) -> None:
    plan = planned(
        parts["a"] | each(parts["b"] | choose(family, {"code": parts["d"]})) | parts["c"]
    )
    begun = labels(plan, seen("0"))
    assert begun[1].endswith("under way")
    assert begun[2] == "b, under way"
    over = labels(plan, seen("0"), seen("6"), state="completed")
    assert over[1].endswith("done")
    assert over[2] == "b, done"
    assert over[4] == "d, no record, not begun"


def test_rounds_of_a_repeat_are_counted_together(parts) -> None:
    plan = planned(repeat(parts["a"], until=enough) | parts["b"])
    rounds = [seen("1.0"), seen("1.1", attempts=2)]
    counted = labels(plan, *rounds, seen("4", "open"))
    assert counted[1] == "a, 2 rounds, wait 5 ms, run 40 ms on average, 1 retry, done"
    assert counted[0].endswith("done")


def test_a_case_not_taken_is_not_begun(parts) -> None:
    plan = planned(choose(family, {"code": parts["a"], "talk": parts["b"]}) | parts["c"])
    taken = labels(plan, seen("1"), seen("3"), state="completed")
    assert [label.rpartition(", ")[2] for label in taken] == [
        "done",
        "done",
        "not begun",
        "done",
        "done",
    ]


def test_positions_that_the_plan_does_not_know_are_passed_over(parts) -> None:
    plan = planned(parts["a"])
    strange = labels(plan, seen("99"), seen("x"), seen("²"), seen("~"), seen(""))
    assert strange == ["a, not begun", "end, not begun"]
