"""Composition: how stages become a flow.

Owns: `a | b`, `a & b`, `each`, `choose` and the check that neighbours' types fit. Must not: know
node numbers (the compiler does) or how anything runs.

Sequences and parallel groups are always flattened: `(a & b) & c` is `a & b & c` and gives three
results, since Python does not tell the parentheses. To nest groups, put a stage in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from engine.errors import DefinitionInvalid, OptionInvalid, TypesDoNotFit, TypesUnresolved
from engine.workflow import registry
from engine.workflow.bounds import whole_number
from engine.workflow.decider import Case, Decider
from engine.workflow.fitting import array_of, described, fits, tuple_of, union_of
from engine.workflow.payload import Field, InputCodec

MAX_WINDOW = 256
MAX_BRANCHES = 256


class Want(NamedTuple):
    """A type that some stage takes as its flow's input."""

    taker: str
    type: Any


class Flow:
    """Anything that can stand in a pipeline: a stage or a composition."""

    kind: ClassVar[str] = "flow"

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
        return self.parts[0].wants()

    def gives(self) -> Any:
        """Return what the last part gives."""
        return self.parts[-1].gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return the parts."""
        return self.parts

    def check(self) -> None:
        """Check the parts and the seams between them."""
        super().check()
        for before, after in pairwise(self.parts):
            check_seam(before, after)


class Parallel(Flow):
    """All branches at once on the same input; the result is the tuple of theirs, in order."""

    kind: ClassVar[str] = "parallel"

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


class Each(Flow):
    """A flow run once for every item of a list; see `each`."""

    kind: ClassVar[str] = "each"

    def __init__(self, body: Flow, window: int) -> None:
        self.body = body
        self.window = window

    @property
    def label(self) -> str:
        """`each(...)` around the body."""
        return f"each({self.body.label})"

    def wants(self) -> list[Want]:
        """Return lists of what the body takes."""
        return [Want(f"each({taker})", array_of(type_)) for taker, type_ in self.body.wants()]

    def gives(self) -> Any:
        """Return the list of what the body gives."""
        return array_of(self.body.gives())

    def inner(self) -> tuple[Flow, ...]:
        """Return the body."""
        return (self.body,)

    def entry(self) -> InputCodec:
        """Return a codec for one parameter, the list of items."""
        return InputCodec(self.label, [Field("items", self.wants()[0].type)])


class Choose(Flow):
    """One of several flows, picked by a named function; see `choose`."""

    kind: ClassVar[str] = "choose"

    def __init__(self, decider: Decider, cases: Mapping[str, Flow], otherwise: Flow | None) -> None:
        self.decider = decider
        self.cases = dict(cases)
        self.otherwise = otherwise

    @property
    def label(self) -> str:
        """`choose(...)` with the decider and its cases."""
        return f"choose({self.decider.name}: {', '.join(self.cases)})"

    def wants(self) -> list[Want]:
        """Return what the decider and every case take."""
        own = [Want(self.decider.name, self.decider.takes())]
        return own + [want for case in self.inner() for want in case.wants()]

    def gives(self) -> Any:
        """Return the union of what the cases give."""
        return union_of([case.gives() for case in self.inner()])

    def inner(self) -> tuple[Flow, ...]:
        """Return the cases, `otherwise` last."""
        last = () if self.otherwise is None else (self.otherwise,)
        return (*self.cases.values(), *last)

    def check(self) -> None:
        """Check the cases, and that all of them take the same input."""
        super().check()
        first, *others = self.wants()
        for other in others:
            if not (fits(first.type, other.type) or fits(other.type, first.type)):
                raise TypesDoNotFit(
                    first.taker, described(first.type), other.taker, described(other.type), "takes"
                )


def each(flow: object, window: int = 200) -> Flow:
    """Run a flow once for every item of a list, and give the list of results in the same order.

    Args:
        flow: a stage or a composition; it receives one item.
        window: how many items are under way at a time, 1 to 256.

    Raises:
        OptionInvalid: the window is out of bounds.
    """
    return Each(as_flow(flow), whole_number("window", window, 1, MAX_WINDOW))


def choose(decide: Case, cases: Mapping[str, object], otherwise: object | None = None) -> Flow:
    """Go on with one of several flows.

    All cases receive the input that `decide` sees; the result is that of the case taken.

    Args:
        decide: a named, pure function from the input to the name of a case. It runs inside the
            attempt of the stage before; should it raise, that attempt has failed.
        cases: flow by case name.
        otherwise: the flow for any other name; without it another name is a NoCaseMatches.

    Raises:
        NameInvalid: the function has no usable name.
        DuplicateName: another function of this name decides already.
        TypesDoNotFit: the cases take different inputs.
    """
    if not cases or not all(_is_case_name(name) for name in cases):
        raise OptionInvalid("cases", cases, "flows, each under 1 to 100 characters")
    decider = Decider(decide)
    flows = {name: as_flow(flow) for name, flow in cases.items()}
    chosen = Choose(decider, flows, None if otherwise is None else as_flow(otherwise))
    _when_resolved(chosen.check)
    registry.current().add_decider(decider)
    return chosen


def _is_case_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 100


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


def _when_resolved(check: Any) -> None:
    """Check now, or leave it to `Pipeline.plan()` while a forward reference is still open."""
    try:
        check()
    except TypesUnresolved:
        return


def _chained(first: Flow, second: Flow) -> Flow:
    before = first.parts if isinstance(first, Chain) else (first,)
    after = second.parts if isinstance(second, Chain) else (second,)
    _when_resolved(lambda: check_seam(before[-1], after[0]))
    return Chain((*before, *after))


def _paralleled(first: Flow, second: Flow) -> Flow:
    left = first.branches if isinstance(first, Parallel) else (first,)
    right = second.branches if isinstance(second, Parallel) else (second,)
    return Parallel((*left, *right))


def _giver(flow: Flow) -> str:
    return flow.parts[-1].label if isinstance(flow, Chain) else flow.label


def _enclosed(flow: Flow) -> str:
    return f"({flow.label})" if isinstance(flow, Chain) else flow.label
