"""Compensation: what a failed run has done is undone, whenever it was done."""

from __future__ import annotations

import pytest

from engine import Pipeline, sleep
from engine.control.operate import RedriveRefused, redrive
from tests.chaos import matrix_stages as stages
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.workload import QUEUE


def done_at(fleet: Fleet, run: str) -> list[str]:
    """Positions of the stages that completed, in order."""
    return [e["position"] for e in fleet.history.told("stage.completed", run=run)]


def test_what_a_branch_does_after_its_run_has_failed_is_undone(inside: Fleet) -> None:
    booked = stages.book.undo(stages.unbook) | stages.pay.undo(stages.unpay)
    run = Pipeline("books-late", stages.doom & (sleep("200ms") | booked)).start(4)
    inside.history.accepted([run])
    assert run.wait("5s") == "failed"
    eventually(lambda: any(at.startswith("~") for at in done_at(inside, run.id)), 5, "undone")
    inside.history.check(gentle=True, failed=1)
    _, book, undo = done_at(inside, run.id)
    assert undo == f"~{book}", "it is undone, and the branch ends there"


def test_a_letter_of_an_undone_run_is_not_redriven(inside: Fleet) -> None:
    """What it would go on from is taken back."""
    booked = stages.book.undo(stages.unbook)
    run = Pipeline("undone-for-good", booked | stages.doom).start(4)
    inside.history.accepted([run])
    assert run.wait("5s") == "failed"
    store = inside.engine.store
    (letter,) = store.letters.newest(QUEUE, at=0, at_most=2)
    with pytest.raises(RedriveRefused, match="undone"):
        redrive(store, letter)
    inside.history.check(gentle=True, failed=1)
