"""The handle to a run of an inline engine: it runs what falls due while somebody waits.

Owns: `InlineRun`. Must not: run anything itself; it asks its engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import Duration
from engine.workflow.run import Run, RunState

if TYPE_CHECKING:
    from engine.testing.inline import InlineEngine


class InlineRun(Run):
    """A handle to a run of an inline engine."""

    __slots__ = ("_inline",)

    def __init__(self, id: str, engine: InlineEngine, duplicate: bool = False) -> None:  # noqa: A002
        super().__init__(id, engine, duplicate)
        self._inline = engine

    def wait(self, timeout: Duration | None = "30s") -> RunState:
        """Run what falls due until the run has ended, for so long of the engine's time at most.

        Raises:
            WaitTimeout: as `Run.wait`.
            RunStuck: there is no timeout, and nothing will bring the run to its end.
        """
        return self._inline.finish(self.id) if timeout is None else super().wait(timeout)
