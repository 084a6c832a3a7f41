"""Parts of a declarative flow that need more than what flows in: `Bound`, `Kept` and `Written`.

Owns: the flow behind a binding, the flow whose result later expressions read by name, and the
decider that is an expression. Must not: know a language of expressions; `engine.flows` does. An
expression is a code here, such as "jmespath:steps.parse.output.repo": it travels in the plan, so
that a run ends on the expressions it began with. No name of a definition holds a colon.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from engine.workflow.flow import Flow, Want
from engine.workflow.nodes import Bind
from engine.workflow.payload import Field, InputCodec


def is_code(name: str) -> bool:
    """Say whether a decider's name is an expression."""
    return ":" in name


class Written(NamedTuple):
    """A decider that is an expression; `name` is its code."""

    name: str

    def takes(self) -> Any:
        """Return anything."""
        return Any


class Bound(Flow):
    """A stage or pause that receives what expressions give instead of what flows in."""

    kind: ClassVar[str] = "bound"

    def __init__(self, flow: Flow, bind: Bind) -> None:
        self.flow = flow
        self.bind = bind

    @property
    def label(self) -> str:
        """The stage's own."""
        return self.flow.label

    def wants(self) -> list[Want]:
        """Return anything: the expressions make what the stage takes."""
        return [Want(self.label, Any)]

    def gives(self) -> Any:
        """Return what the stage gives."""
        return self.flow.gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return the stage."""
        return (self.flow,)

    def entry(self) -> InputCodec:
        """Return a codec for one parameter of any type."""
        return InputCodec(self.label, [Field("input")])


class Kept(Flow):
    """A part of a flow whose result expressions behind it read as `steps.<step>.output`."""

    kind: ClassVar[str] = "kept"

    def __init__(self, flow: Flow, step: str) -> None:
        self.flow = flow
        self.step = step
        self.passes_on = flow.passes_on

    @property
    def label(self) -> str:
        """The part's own."""
        return self.flow.label

    def wants(self) -> list[Want]:
        """Return what the part takes."""
        return self.flow.wants()

    def gives(self) -> Any:
        """Return what the part gives."""
        return self.flow.gives()

    def inner(self) -> tuple[Flow, ...]:
        """Return the part."""
        return (self.flow,)
