from __future__ import annotations

import time

import pytest

from engine import Pipeline, RunState, each, sleep, stage
from engine.errors import InvalidDuration
from engine.testing import InlineEngine, VirtualClock


def test_a_week_takes_no_time(callboard, virtual_clock, parts) -> None:
    run = Pipeline("p", sleep("7d") | parts["first"]).start(1)
    began = time.monotonic()
    virtual_clock.advance("6d")
    assert run.status() is RunState.RUNNING
    virtual_clock.advance("1d")
    assert run.status() is RunState.COMPLETED
    assert time.monotonic() - began < 1


def test_what_falls_due_runs_in_order_and_at_its_time(callboard, virtual_clock) -> None:
    seen = []

    @stage
    def note(x: int) -> None:
        seen.append((x, virtual_clock.now_ms()))

    began_ms = virtual_clock.now_ms()
    for minutes in (3, 1, 2):
        note.send(minutes, delay=f"{minutes}m")
    virtual_clock.advance("1h")
    assert seen == [(minutes, began_ms + minutes * 60_000) for minutes in (1, 2, 3)]
    assert virtual_clock.now_ms() == began_ms + 3_600_000


def test_a_pause_as_long_as_ten_years_is_waited_for(callboard, parts) -> None:
    assert Pipeline("p", sleep("3650d") | parts["first"]).start(1).result() == 2


def test_until_idle_lets_all_time_pass_that_is_needed_and_no_more(callboard, parts) -> None:
    before_ms = callboard.clock.now_ms()
    run = Pipeline("p", each(sleep("1h") | parts["first"], window=1)).start([1, 2])
    callboard.run_until_idle()
    assert run.status() is RunState.COMPLETED
    assert callboard.clock.now_ms() - before_ms == 2 * 3_600_000


def test_the_clock_starts_where_it_is_told_to(parts) -> None:
    with InlineEngine(clock=VirtualClock(now_ms=5)):
        assert parts["first"].send(1).view().started_at_ms == 5


def test_time_does_not_go_back(virtual_clock) -> None:
    with pytest.raises(InvalidDuration):
        virtual_clock.advance(-1)
