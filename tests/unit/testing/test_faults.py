from __future__ import annotations

import pytest

from engine import Pipeline, RunState, each, stage
from engine.errors import OptionInvalid, RunFailed, UnknownStage


def test_one_attempt_fails_and_the_next_comes_when_the_policy_says(callboard, parts) -> None:
    callboard.faults.fail("flaky", attempt=2)
    callboard.faults.fail(parts["flaky"], attempt=1, error=TimeoutError("slow"))
    run = parts["flaky"].send(1)
    before_ms = callboard.clock.now_ms()
    assert run.result() == 10
    assert callboard.history(run).attempts("flaky") == 3
    assert callboard.clock.now_ms() - before_ms == 2 * 10_000


def test_the_first_attempts_fail_at_each_position(callboard, parts) -> None:
    callboard.faults.fail("flaky", times=2)
    run = Pipeline("p", each(parts["flaky"])).start([1, 2])
    assert run.result() == [10, 20]
    assert callboard.history(run).attempts("flaky") == 6
    assert callboard.history(run).attempts("flaky", "1.1") == 3


def test_a_fault_may_look_at_the_input(callboard, parts) -> None:
    callboard.faults.fail("flaky", when=lambda x: x == 2)
    run = Pipeline("p", each(parts["flaky"])).start([1, 2])
    with pytest.raises(RunFailed):
        run.result()
    (letter,) = callboard.history(run).dead()
    assert (letter.position, letter.input, letter.attempts) == ("1.1", b"2", 3)


def test_an_interrupt_is_no_failed_attempt_but_reaches_the_test(callboard, parts) -> None:
    callboard.faults.fail("flaky", error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        parts["flaky"].send(1).result()


def test_a_slow_stage_strikes_its_timeout(callboard) -> None:
    @stage(timeout="15s")
    def calls(x: int) -> int:
        return x

    callboard.faults.slow("calls", by="1h", attempt=1)
    run = calls.send(1)
    callboard.clock.advance("15s")
    (retried,) = [e for e in callboard.history(run).events if e.name == "stage.retried"]
    assert "DeadlineExceeded" in retried.data["error"]
    assert run.result() == 1


def test_a_crash_runs_the_function_again_as_the_same_attempt(callboard) -> None:
    calls = []

    @stage
    def charge(x: int) -> int:
        calls.append(x)
        return x

    callboard.faults.crash("charge")
    run = charge.send(1)
    assert run.result() == 1
    assert calls == [1, 1]
    assert {e.attempt for e in callboard.history(run).events if e.stage == "charge"} == {1}


def test_a_stage_that_crashes_too_often_is_dead(callboard) -> None:
    @stage(max_stalls=2)
    def charge(x: int) -> int:
        return x

    callboard.faults.crash("charge", times=3)
    run = charge.send(1)
    callboard.run_until_idle()
    callboard.history(run).assert_dead("charge", "stalled")


def test_faults_are_forgotten_when_cleared(callboard, parts) -> None:
    callboard.faults.fail("flaky")
    callboard.faults.slow("flaky", by="1h")
    callboard.faults.crash("flaky")
    callboard.faults.clear()
    run = parts["flaky"].send(1)
    callboard.run_due()
    assert run.status() is RunState.COMPLETED


def test_a_misspelt_stage_or_a_wrong_number_is_refused(callboard, parts) -> None:
    with pytest.raises(UnknownStage, match="Did you mean 'flaky'"):
        callboard.faults.fail("flakey")
    with pytest.raises(OptionInvalid):
        callboard.faults.fail("flaky", attempt=0)
    with pytest.raises(OptionInvalid):
        callboard.faults.fail("flaky", error="no exception")
