"""Runs on a real store draw themselves: what is done, what is under way, what has died."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from dramatiq import Worker

from engine import Pipeline, Retry, each, stage
from engine.bootstrap import Engine
from engine.errors import RunNotFound, UnknownFormat, UnknownPlan
from engine.workflow.run import Run, StageView
from tests.integration.control.commands import call, told
from tests.integration.control.test_control import eventually


def test_a_run_draws_what_is_done_and_what_is_under_way(engine: Engine, worker: Worker) -> None:
    gate = threading.Event()

    @stage
    def begin(n: int) -> int:
        return n

    @stage
    def hold(n: int) -> int:
        gate.wait(10)
        return n

    @stage
    def side(n: int) -> int:
        return n

    @stage
    def finish(both: tuple[int, int]) -> int:
        return sum(both)

    flow = Pipeline("held", begin | (hold & side) | finish)
    run = flow.start(1)
    assert [(one.stage, one.state) for one in run.view().stages] == [("begin", "open")]
    worker.start()
    eventually(lambda: [one.state for one in run.view().stages] == ["done", "done", "open"])
    view = run.view()
    assert view.plan == flow.plan()
    assert [(one.position, one.arrived, one.members) for one in view.joins] == [("4", 1, 2)]
    drawn = run.draw()
    assert "class n0,n1,n3 done" in drawn
    assert "class n2,n4 active" in drawn
    assert 'n4{{"join: all of 2<br/>1 of 2<br/>under way"}}' in drawn
    gate.set()
    assert run.result("10s") == 2
    assert "class n0,n1,n2,n3,n4,n5,n6 done" in run.draw()
    assert run.draw("svg").startswith("<svg ")
    with pytest.raises(UnknownFormat, match="Did you mean 'svg'"):
        run.draw("svgs")
    with pytest.raises(RunNotFound):
        Run("0" * 32, engine).draw()


def test_a_waiting_retry_and_a_death_are_told_apart(engine: Engine, worker: Worker) -> None:
    @stage(retry=Retry(attempts=2, base="1h"))
    def again() -> None:
        raise ValueError("again")

    @stage(retry=Retry(attempts=1))
    def never() -> None:
        raise ValueError("never")

    worker.start()
    retried, dead = again.send(), never.send()
    dead.wait("10s")
    eventually(lambda: "trying again" in retried.draw())
    assert "1 retry" in retried.draw()
    assert "class n0 dead" in dead.draw()
    assert "failed" in dead.draw()


def test_items_under_way_are_counted_at_their_join(engine: Engine, worker: Worker) -> None:
    gate = threading.Event()

    @stage
    def item(n: int) -> int:
        if n:
            gate.wait(10)
        return n

    flow = Pipeline("items", each(item))
    run = flow.start([0, 0, 0, 1])
    worker.start()
    eventually(lambda: "3 of 4" in run.draw())
    gate.set()
    assert run.result("10s") == [0, 0, 0, 1]
    assert "class n0,n1,n2,n3,n4 done" in run.draw()


def test_a_run_whose_plan_is_gone_is_seen_but_not_drawn(engine: Engine) -> None:
    @stage
    def lost() -> None: ...

    run = lost.send()
    store = engine.store
    store.links.command("DEL", store.links.keys.name("plan", hash=lost.plan().hash))
    engine.plans._known.clear()
    assert run.view().stages == ()
    assert run.view().plan is None
    with pytest.raises(UnknownPlan):
        run.draw()


def test_an_open_stage_is_a_view_like_any_other(engine: Engine) -> None:
    @stage
    def early() -> None: ...

    assert early.send().view().stages == (
        StageView(position="0", stage="early", state="open", attempts=1),
    )


def test_show_writes_a_picture(commands: Engine, tmp_path: Path) -> None:
    @stage
    def shown() -> None: ...

    run = shown.send()
    assert call("show", run.id, "--mermaid").startswith("flowchart LR\n")
    assert "under way" in call("show", run.id[:31], "--svg", "-")
    file = tmp_path / "run.svg"
    assert call("show", run.id, "--svg", str(file)) == ""
    assert file.read_text() == run.draw("svg")
    call("show", run.id, "--svg", str(tmp_path / "no" / "run.svg"), code=1)
    assert told("show", run.id)[0]["id"] == run.id


def test_draw_writes_a_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Engine
) -> None:
    (tmp_path / "drawn_here.py").write_text(
        "from engine import Pipeline, stage\n\n@stage\ndef one() -> None: ...\n\n"
        "drawn = Pipeline('drawn', one)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert "n0 --> n1" in call("draw", "drawn", "-m", "drawn_here")
    assert call("draw", "drawn", "-m", "drawn_here", "--svg", "-").startswith("<svg ")
    call("draw", "drawn", "-m", "drawn_here", "--svg", "drawn.svg")
    assert (tmp_path / "drawn.svg").read_text().endswith("</svg>\n")
    [plan] = [json.loads(call("draw", "drawn", "-m", "drawn_here", "--json"))]
    assert plan["plan"]["name"] == "drawn"
