"""Compensation: the stage that takes back what another did, should the run fail later.

Owns: the flow behind `stage.undo(other)`. Must not: decide when to undo; the store does.
"""

from __future__ import annotations

from typing import Any, ClassVar

from engine.errors import DefinitionInvalid
from engine.workflow.flow import Flow, Want, as_flow, check_seam, when_resolved


class Undoable(Flow):
    """A stage with its compensation; see `Stage.undo`."""

    kind: ClassVar[str] = "undoable"

    def __init__(self, stage: Flow, undo: object) -> None:
        self.stage = stage
        self.by = as_flow(undo)
        if self.by.kind != "stage":
            raise DefinitionInvalid(
                f"The undo of {stage.label!r}", "is not a stage", "Give one stage."
            )
        when_resolved(self.check)

    @property
    def label(self) -> str:
        """The stage's own."""
        return self.stage.label

    def wants(self) -> list[Want]:
        """Return what the stage takes."""
        return self.stage.wants()

    def gives(self) -> Any:
        """Return what the stage gives."""
        return self.stage.gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return the stage."""
        return (self.stage,)

    def check(self) -> None:
        """Check that the compensation takes what the stage gives."""
        check_seam(self.stage, self.by)
