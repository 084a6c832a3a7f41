"""Errors of the test kit.

Owns: what an inline engine raises of its own. Must not: hold payloads.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import RunError


class RunStuck(RunError):
    """A run is waited for that nothing will bring to an end."""

    code = "run_stuck"

    def __init__(self, run_id: str, signals: Sequence[str]) -> None:
        self.run_id, self.signals = run_id, tuple(signals)
        awaited = ", ".join(repr(name) for name in signals)
        why = f"it waits for the signal {awaited}" if signals else "nothing of it is under way"
        super().__init__(
            f"Run {run_id} will not end by itself: {why}. Send what it waits for, give wait_for "
            "a timeout, or wait with a timeout."
        )
