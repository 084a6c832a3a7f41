from __future__ import annotations

import pytest

from engine import Pipeline, Run
from engine.errors import UnknownStage
from engine.testing import History


@pytest.fixture
def run(callboard, parts) -> Run:
    undo = parts["undo"]
    flow = parts["first"].undo(undo) | parts["flaky"].undo(undo) | parts["refuses"]
    callboard.faults.fail("flaky", attempt=1)
    run = Pipeline("p", flow).start(1)
    callboard.run_until_idle()
    return run


@pytest.fixture
def history(callboard, run) -> History:
    return callboard.history(run)


def test_it_answers_what_a_test_asks(history) -> None:
    assert history.ran("flaky")
    assert not history.ran("refuses")
    assert history.attempts("flaky") == 2
    assert history.order() == ["first_part", "flaky"]
    assert history.undone() == ["flaky", "first_part"]
    assert [(letter.stage, letter.reason) for letter in history.dead()] == [
        ("refuses", "attempts_exhausted")
    ]
    assert (history.state, history.waits(), history.caught()) == ("failed", [], [])
    assert history.progress("flaky") is None


def test_assertions_that_hold_are_silent(history, parts) -> None:
    history.assert_ran("first_part", parts["flaky"])
    history.assert_attempts("flaky", 2)
    history.assert_order("first_part", "flaky")
    history.assert_undone("flaky", "first_part")
    history.assert_dead("refuses", "attempts_exhausted")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda h: h.assert_ran("first_part", "refuses"), "did not complete: refuses"),
        (lambda h: h.assert_never_began("flaky"), "began: flaky"),
        (lambda h: h.assert_attempts("flaky", 3), "flaky began 2 times, not 3"),
        (lambda h: h.assert_order("flaky", "first_part"), "completed as first_part > flaky"),
        (lambda h: h.assert_undone("flaky"), "undone was flaky > first_part"),
        (lambda h: h.assert_dead("flaky"), "flaky has no dead letter"),
        (lambda h: h.assert_dead("refuses", "stalled"), "died of"),
    ],
)
def test_assertions_that_fail_tell_the_story(history, ask, told: str) -> None:
    with pytest.raises(AssertionError, match=told) as caught:
        ask(history)
    assert "stage.retried flaky at 1 attempt 1" in str(caught.value)


def test_a_misspelt_stage_cannot_make_a_test_pass(history) -> None:
    for ask in (history.ran, history.attempts, history.assert_never_began):
        with pytest.raises(UnknownStage, match="Did you mean 'flaky'"):
            ask("flakey")


def test_times_are_told_since_the_run_began(history) -> None:
    assert "      10000 ms  stage.started flaky at 1 attempt 2" in history.story()
    assert repr(history) == "<history of p failed: first_part > flaky>"
