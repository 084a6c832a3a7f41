from __future__ import annotations

from engine import RunState


def test_a_run_that_is_undone_has_not_ended() -> None:
    open_states = {state for state in RunState if not state.ended}
    assert open_states == {RunState.RUNNING, RunState.UNDOING}
