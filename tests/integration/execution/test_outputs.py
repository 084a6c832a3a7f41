"""`ctx.outputs`: a mapping of what earlier stages gave, and of nothing else."""

from __future__ import annotations

from tests.chaos import workload
from tests.chaos.fleet import Fleet


def test_outputs_are_those_of_the_stages_that_have_ended(inside: Fleet) -> None:
    run = workload.looking_back.start(3)
    inside.history.accepted([run])
    inside.history.wait_ended(10)
    assert run.result() == {"short": 3}
