"""Composition: how stages become a flow.

Owns: `a | b`, `a & b` and the check that neighbours' types fit. Must not: know node numbers (the
compiler does) or how anything runs. The other nodes stand in files of their own.

Sequences and parallel groups are always flattened: `(a & b) & c` is `a & b & c` and gives three
results, since Python does not tell the parentheses. To nest groups, put a stage in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from engine.errors import DefinitionInvalid, TypesDoNotFit, TypesUnresolved
from engine.workflow.fitting import described, fits, tuple_of
from engine.workflow.payload import InputCodec

MAX_BRANCHES = 256


class Want(NamedTuple):
    """A type that some stage takes as its flow's input."""

    taker: str
    type: Any


class Flow:
    """Anything that can stand in a pipeline: a stage or a composition."""

    kind: ClassVar[str] = "flow"

    passes_on: bool = False
    """Whether it gives whatever it receives; its neighbours' types then meet through it."""

    @property
    def label(self) -> str:
        """What errors call it."""
        raise NotImplementedError

    def wants(self) -> list[Want]:
        """Return what the stages that begin the flow take; raises TypesUnresolved."""
        raise NotImplementedError

    def gives(self) -> Any:
        """Return the type of the flow's result; raises TypesUnresolved."""
        raise NotImplementedError

    def inner(self) -> tuple[Flow, ...]:
        """Return the flows it is made of, in the order they are read."""
        return ()

    def entry(self) -> InputCodec:
        """Return the codec of the flow's own input."""
        return self.inner()[0].entry()

    def check(self) -> None:
        """Check every seam inside; raises TypesDoNotFit, TypesUnresolved."""
        for flow in self.inner():
            flow.check()

    def __or__(self, other: object) -> Flow:
        return _chained(self, as_flow(other))

    def __ror__(self, other: object) -> Flow:
        return _chained(as_flow(other), self)

    def __and__(self, other: object) -> Flow:
        return _paralleled(self, as_flow(other))

    def __rand__(self, other: object) -> Flow:
        return _paralleled(as_flow(other), self)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.label}>"


class Chain(Flow):
    """One part after the other: each takes what the part before gives."""

    kind: ClassVar[str] = "sequence"

    def __init__(self, parts: Iterable[Flow]) -> None:
        self.parts = tuple(parts)

    @property
    def label(self) -> str:
        """The parts with `|` between them."""
        return " | ".join(part.label for part in self.parts)

    def wants(self) -> list[Want]:
        """Return what the first part takes."""
        return self._working()[0].wants()

    def gives(self) -> Any:
        """Return what the last part gives."""
        return self._working()[-1].gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return the parts."""
        return self.parts

    def entry(self) -> InputCodec:
        """Return the codec of the first part's input."""
        return self._working()[0].entry()

    def check(self) -> None:
        """Check the parts and the seams between them."""
        super().check()
        for before, after in pairwise(self._working()):
            check_seam(before, after)

    def _working(self) -> Sequence[Flow]:
        return [part for part in self.parts if not part.passes_on] or self.parts


class Parallel(Flow):
    """All branches at once on the same input; the result is the tuple of theirs, in order."""

    kind: ClassVar[str] = "parallel"

    need: int = 0
    """How many members must succeed; 0 is all of them."""

    settles = False
    """Whether the results say of each member how it ended."""

    def __init__(self, branches: Iterable[Flow]) -> None:
        self.branches = tuple(branches)
        if len(self.branches) > MAX_BRANCHES:
            raise DefinitionInvalid(
                f"A parallel group of {len(self.branches)} branches",
                f"is over the limit of {MAX_BRANCHES}",
                "Use each(stage) over a list.",
            )

    @property
    def label(self) -> str:
        """The branches with `&` between them, in parentheses."""
        return f"({' & '.join(_enclosed(branch) for branch in self.branches)})"

    def wants(self) -> list[Want]:
        """Return what every branch takes."""
        return [want for branch in self.branches for want in branch.wants()]

    def gives(self) -> Any:
        """Return the tuple of what the branches give."""
        return tuple_of([branch.gives() for branch in self.branches])

    def inner(self) -> tuple[Flow, ...]:
        """Return the branches."""
        return self.branches


def as_flow(value: object) -> Flow:
    """Return `value` if it can stand in a flow; raises DefinitionInvalid."""
    if isinstance(value, Flow):
        return value
    name = getattr(value, "__name__", None) or type(value).__name__
    raise DefinitionInvalid(f"{name!r}", "is not a stage", "Decorate the function with @stage.")


def check_seam(before: Flow, after: Flow) -> None:
    """Check that what `before` gives fits every stage that begins `after`."""
    gives = before.gives()
    for taker, takes in after.wants():
        if not fits(gives, takes):
            raise TypesDoNotFit(_giver(before), described(gives), taker, described(takes))


def when_resolved(check: Callable[[], None]) -> None:
    """Check now, or leave it to `Pipeline.plan()` while a forward reference is still open."""
    try:
        check()
    except TypesUnresolved:
        return


def _chained(first: Flow, second: Flow) -> Flow:
    before = first.parts if isinstance(first, Chain) else (first,)
    after = second.parts if isinstance(second, Chain) else (second,)
    chain = Chain((*before, *after))
    # What stands on one side alone has been checked when that side was composed.
    when_resolved(lambda: _check_middle(before, after))
    return chain


def _check_middle(before: Sequence[Flow], after: Sequence[Flow]) -> None:
    left = [part for part in before if not part.passes_on]
    right = [part for part in after if not part.passes_on]
    if left and right:
        check_seam(left[-1], right[0])


def _paralleled(first: Flow, second: Flow) -> Flow:
    # Only a plain group is flattened: one with a policy of its own is a member like any other.
    left = first.branches if type(first) is Parallel else (first,)
    right = second.branches if type(second) is Parallel else (second,)
    return Parallel((*left, *right))


def _giver(flow: Flow) -> str:
    return flow.parts[-1].label if isinstance(flow, Chain) else flow.label


def _enclosed(flow: Flow) -> str:
    return f"({flow.label})" if isinstance(flow, Chain) else flow.label
