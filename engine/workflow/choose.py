"""Branch: one of several flows, picked by a named function.

Owns: `choose` and the flow behind it. Must not: run the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.errors import OptionInvalid, TypesDoNotFit
from engine.workflow import registry
from engine.workflow.bound import Written
from engine.workflow.decider import Case, Decider
from engine.workflow.fitting import described, fits, union_of
from engine.workflow.flow import Flow, Want, as_flow, when_resolved


class Choose(Flow):
    """One of several flows, picked by a named function; see `choose`."""

    kind: ClassVar[str] = "choose"

    def __init__(
        self,
        decider: Decider | Written,
        cases: Mapping[str, Flow],
        otherwise: Flow | None,
        when: tuple[str, ...] = (),
    ) -> None:
        self.decider = decider
        self.cases = dict(cases)
        self.otherwise = otherwise
        self.when = when

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
    when_resolved(chosen.check)
    registry.current().add_decider(decider)
    return chosen


def _is_case_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 100
