"""Join policies: how many members of a parallel group must succeed.

Owns: `gather`, `first` and the flow behind them. Must not: count anything; the store does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from engine.errors import DefinitionInvalid
from engine.workflow.bounds import whole_number
from engine.workflow.fitting import tuple_of, union_of
from engine.workflow.flow import Flow, Parallel, as_flow
from engine.workflow.settled import settled


class Gather(Parallel):
    """Branches of which `need` must succeed, or all of which must only end; see `gather`."""

    kind: ClassVar[str] = "gather"

    def __init__(self, branches: Iterable[Flow], need: int, *, settles: bool) -> None:
        super().__init__(branches)
        self.need = need
        self.settles = settles

    @property
    def label(self) -> str:
        """`gather(...)` around the branches."""
        return f"gather({', '.join(branch.label for branch in self.branches)})"

    def gives(self) -> Any:
        """Return the tuple of what the branches give, None where one is not needed."""
        gives = [branch.gives() for branch in self.branches]
        if self.settles:
            return tuple_of([settled(result) for result in gives])
        return tuple_of([union_of([result, None]) for result in gives] if self.need else gives)


class First(Gather):
    """A race; see `first`."""

    kind: ClassVar[str] = "first"

    def __init__(self, branches: Iterable[Flow]) -> None:
        super().__init__(branches, 1, settles=False)

    @property
    def label(self) -> str:
        """`first(...)` around the branches."""
        return f"first({', '.join(branch.label for branch in self.branches)})"

    def gives(self) -> Any:
        """Return the union of what the branches give."""
        return union_of([branch.gives() for branch in self.branches])


def gather(*flows: object, need: int | str = "all") -> Flow:
    """Run flows side by side on the same input, with a say in how many must succeed.

    Args:
        *flows: two or more stages or compositions.
        need: "all" is `a & b`: every one must succeed, and the result is the tuple of theirs.
            "ended" waits for all, whatever becomes of them: the result is a tuple of `Settled`.
            A number n goes on as soon as n have succeeded and cancels the others: the result is a
            tuple with None for those that did not count. The run fails when n can no longer be
            reached.

    Raises:
        DefinitionInvalid: fewer than two flows.
        OptionInvalid: `need` is neither of the words nor 1 to the number of flows.
    """
    branches = _branches("gather", flows)
    if need == "all":
        return Parallel(branches)
    if need == "ended":
        return Gather(branches, 0, settles=True)
    number = whole_number("need", need, 1, len(branches), ", or 'all', or 'ended'")
    return Gather(branches, number, settles=False)


def first(*flows: object) -> Flow:
    """Race flows on the same input: the first to succeed wins, the others are cancelled.

    A branch that dies leaves the race; the run fails when none is left.

    Raises:
        DefinitionInvalid: fewer than two flows.
    """
    return First(_branches("first", flows))


def _branches(word: str, flows: tuple[object, ...]) -> tuple[Flow, ...]:
    if len(flows) < 2:
        raise DefinitionInvalid(f"{word} of {len(flows)}", "has no company", "Give two or more.")
    return tuple(as_flow(flow) for flow in flows)
