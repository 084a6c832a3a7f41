"""What happened in a run, for a test to ask.

Owns: `History`. Must not: change the run.

A stage is named as in its pipeline; a name that no stage of the run has is an error, so that a
misspelt one cannot make a test pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import UnknownStage
from engine.testing.ledger import DeadLetter, Ledger
from engine.workflow.events import Event
from engine.workflow.names import BUILT_IN_STAGES
from engine.workflow.nodes import StageNode
from engine.workflow.run import RunState
from engine.workflow.stage import Stage

Named = str | Stage[..., object]


class History:
    """The record of one run. Child runs have histories of their own."""

    def __init__(self, ledger: Ledger, events: Sequence[Event]) -> None:
        self._ledger = ledger
        self.events = [event for event in events if event.run_id == ledger.id]

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._ledger.state

    def ran(self, stage: Named) -> bool:
        """Say whether a stage has completed, at one position at least."""
        return self._name(stage) in self.order()

    def attempts(self, stage: Named, position: str | None = None) -> int:
        """Return how many attempts of a stage have begun, at all its positions or at one."""
        name = self._name(stage)
        return sum(
            event.name == "stage.started" and event.stage == name
            for event in self.events
            if position in (None, event.position)
        )

    def order(self) -> list[str]:
        """Return the stages in the order in which they completed, once for each position."""
        return [
            event.stage
            for event in self._of("stage.completed")
            if event.stage not in BUILT_IN_STAGES and not event.position.startswith("~")
        ]

    def undone(self) -> list[str]:
        """Return the stages that were taken back, in the order in which they were."""
        nodes = self._ledger.plan.nodes
        undone: list[str] = []
        for event in self._of("stage.completed"):
            if event.position.startswith("~"):
                node = nodes[int(event.position[1:].split(".")[0])]
                assert isinstance(node, StageNode)
                undone.append(node.stage)
        return undone

    def dead(self) -> list[DeadLetter]:
        """Return the dead letters in the order in which they died."""
        return list(self._ledger.letters)

    def caught(self) -> list[str]:
        """Return the stages whose death a join went on without."""
        return [event.stage for event in self._of("stage.caught")]

    def waits(self) -> list[str]:
        """Return the signals that the run waits for now, the oldest wait first."""
        return [wait.name for wait in self._ledger.waits.values()]

    def progress(self, stage: Named) -> tuple[float, float | None] | None:
        """Return what a stage has reported last: done and total; None if nothing."""
        name = self._name(stage)
        told = [event.data for event in self._of("stage.progressed") if event.stage == name]
        return (told[-1]["done"], told[-1]["total"]) if told else None

    # -- assertions

    def assert_ran(self, *stages: Named) -> None:
        """Check that these stages have completed."""
        missing = [self._name(stage) for stage in stages if not self.ran(stage)]
        self._check(not missing, f"did not complete: {', '.join(missing)}")

    def assert_never_began(self, *stages: Named) -> None:
        """Check that no attempt of these stages has begun."""
        begun = [self._name(stage) for stage in stages if self.attempts(stage)]
        self._check(not begun, f"began: {', '.join(begun)}")

    def assert_attempts(self, stage: Named, count: int) -> None:
        """Check how many attempts of a stage have begun."""
        found = self.attempts(stage)
        self._check(found == count, f"{self._name(stage)} began {found} times, not {count}")

    def assert_order(self, *stages: Named) -> None:
        """Check that these stages completed one after the other, whatever came in between."""
        wanted, rest = [self._name(stage) for stage in stages], iter(self.order())
        self._check(
            all(name in rest for name in wanted),
            f"completed as {' > '.join(self.order())}, not {' > '.join(wanted)}",
        )

    def assert_undone(self, *stages: Named) -> None:
        """Check that these stages, and no others, were taken back in this order."""
        wanted, found = [self._name(stage) for stage in stages], self.undone()
        self._check(found == wanted, f"undone was {' > '.join(found) or 'nothing'}, not {wanted}")

    def assert_dead(self, stage: Named, reason: str | None = None) -> None:
        """Check that a stage died, and why."""
        name = self._name(stage)
        reasons = [letter.reason for letter in self.dead() if letter.stage == name]
        self._check(bool(reasons), f"{name} has no dead letter")
        self._check(reason is None or reason in reasons, f"{name} died of {reasons}")

    def story(self) -> str:
        """Return all that happened, a line each; times are ms since the run began."""
        began_at_ms = self._ledger.started_at_ms
        return "\n".join(_line(event, began_at_ms) for event in self.events)

    def _of(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def _name(self, stage: Named) -> str:
        name = stage if isinstance(stage, str) else stage.name
        known = self._ledger.plan.stages()
        if name not in known and name not in BUILT_IN_STAGES:
            raise UnknownStage(name, known)
        return name

    def _check(self, holds: bool, problem: str) -> None:
        __tracebackhide__ = True
        if not holds:
            raise AssertionError(f"In run {self._ledger.id}: {problem}.\n{self.story()}")

    def __repr__(self) -> str:
        return f"<history of {self._ledger.pipeline} {self.state}: {' > '.join(self.order())}>"


def _line(event: Event, began_at_ms: int) -> str:
    where = f" {event.stage} at {event.position}" if event.stage else f" {event.position}".rstrip()
    attempt = f" attempt {event.attempt}" if event.attempt else ""
    data = "".join(f" {name}={value}" for name, value in event.data.items())
    return f"  {event.at_ms - began_at_ms:>9} ms  {event.name}{where}{attempt}{data}"
