"""Races whose run fails afterwards: what lost stays lost, and a redrive goes on from there."""

from __future__ import annotations

import pytest

from engine import Context, Pipeline, first, sleep, stage
from engine.control.operate import redrive
from tests.chaos import matrix_stages as stages
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.workload import QUEUE


@stage(queue=QUEUE)
def brief(number: int) -> float:
    return 0.5


@stage(queue=QUEUE)
def late(seconds: float, ctx: Context) -> int:
    workload.note(ctx)
    return 1


def deaths(fleet: Fleet, run: str) -> int:
    return len(fleet.history.told("stage.died", run=run))


def test_a_run_that_fails_behind_a_race_can_be_redriven(inside: Fleet) -> None:
    raced = first(stages.add, sleep("10m") | stages.double) | stages.doom
    run = Pipeline("fails-behind-a-race", raced).start(4)
    inside.history.accepted([run])
    assert run.wait("5s") == "failed"
    (letter,) = inside.engine.store.letters.newest(QUEUE, at=0, at_most=2)
    redrive(inside.engine.store, letter)
    eventually(lambda: deaths(inside, run.id) == 2, 5, "it runs again, and dies again")
    assert run.wait("5s") == "failed"


@pytest.mark.parametrize("slow", [True, False], ids=["under way", "asleep"])
def test_what_lost_leads_nowhere_in_a_run_that_has_failed(inside: Fleet, *, slow: bool) -> None:
    loser = workload.slow if slow else sleep("500ms") | workload.slow
    raced = first(stages.add, brief | loser | late) | stages.doom
    run = Pipeline(f"fails-before-a-loser-{slow}", raced).start(4)
    inside.history.accepted([run])
    assert run.wait("5s") == "failed"
    eventually(lambda: not inside.engine.store.queues.count(QUEUE).leased, 5)
    eventually(lambda: not inside.engine.store.queues.count(QUEUE).delayed, 5)
    done = [e["stage"] for e in inside.history.told("stage.completed", run=run.id)]
    assert "slow" not in done
    assert not inside.ledger.of("late")


def test_what_lost_is_forgotten_with_its_run(inside: Fleet) -> None:
    raced = first(stages.add, sleep("10m") | stages.double) | stages.doom
    run = Pipeline("fails-and-is-pruned", raced).start(4)
    assert run.wait("5s") == "failed"
    store = inside.engine.store
    keys, command = store.links.keys, store.links.command
    assert command("HEXISTS", keys.name("held"), run.id)
    command("UNLINK", keys.name("run", run=run.id))
    store.runs.prune(started_before_ms=store.queues.now_ms() + 1, cancelled_before_ms=0)
    assert not command("EXISTS", keys.name("held"))
