"""Child runs: pipelines inside pipelines, wherever they stand."""

from __future__ import annotations

from engine import Pipeline
from tests.chaos import matrix_stages as stages
from tests.chaos.fleet import Fleet


def test_a_pipeline_may_begin_with_a_child_run(inside: Fleet) -> None:
    grandchild = Pipeline("grandchild-at-the-start", stages.add)
    child = Pipeline("child-at-the-start", grandchild | stages.double)
    run = Pipeline("begins-with-a-child", child | stages.add).start(4)
    inside.history.accepted([run])
    assert run.result("5s") == 11
    inside.history.check(gentle=True)
