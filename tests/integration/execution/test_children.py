"""Child runs: pipelines inside pipelines, wherever they stand."""

from __future__ import annotations

from engine import Pipeline, Run, first, sleep, wait_for
from tests.chaos import matrix_stages as stages
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet


def test_a_pipeline_may_begin_with_a_child_run(inside: Fleet) -> None:
    grandchild = Pipeline("grandchild-at-the-start", stages.add)
    child = Pipeline("child-at-the-start", grandchild | stages.double)
    run = Pipeline("begins-with-a-child", child | stages.add).start(4)
    inside.history.accepted([run])
    assert run.result("5s") == 11
    inside.history.check(gentle=True)


def test_a_child_run_that_loses_a_race_is_cancelled(inside: Fleet) -> None:
    waiting = Pipeline("waits-in-a-race", stages.add | wait_for("never", int))
    raced = Pipeline("races-a-child", first(sleep("100ms") | stages.add, waiting) | stages.add)
    run = raced.start(4)
    inside.history.accepted([run])
    assert run.result("5s") == 6
    (child,) = [e["run"] for e in inside.history.told("run.started", parent=run.id)]
    eventually(lambda: inside.history.told("run.cancelled", run=child), 5)
    inside.history.check(gentle=True)


def test_a_child_run_in_a_branch_of_a_nested_race_is_cancelled_alone(inside: Fleet) -> None:
    loser = Pipeline("loses-in-a-branch", stages.add | wait_for("never", int))
    bystander = Pipeline("stands-by", stages.add | wait_for("go", int))
    raced = first(sleep("100ms") | stages.add, loser)
    run = Pipeline("races-beside-a-child", (raced & bystander) | stages.fold).start(4)
    inside.history.accepted([run])
    children = {}

    def both_run() -> bool:
        started = inside.history.told("run.started", parent=run.id)
        children.update({e["pipeline"]: e["run"] for e in started})
        return len(children) == 2

    eventually(both_run, 5)
    eventually(lambda: inside.history.told("run.cancelled", run=children["loses-in-a-branch"]), 5)
    Run(children["stands-by"], inside.engine).signal("go", 7)
    assert run.result("5s") == stages.folded([5, 7])
    inside.history.check(gentle=True)
