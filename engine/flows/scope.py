"""What an expression sees while a run goes on, and what a node receives because of it.

Owns: the way from a plan's expressions to their values. Must not: know where results are stored;
whoever runs the plan recalls them.

    value                what flows in: the result of what stands before
    input, context       of the run
    steps.<id>.output    the result of an earlier step

`input`, `context` and the steps are results of the run like any other: each was stored in the hop
that made this message visible, or in an earlier one, so that reading them later is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.errors import ExpressionFailed
from engine.flows.code import Code
from engine.flows.cost import Refused
from engine.flows.reads import CONTEXT, INPUT, OUTPUT, STEPS, VALUE
from engine.workflow.bound import is_code
from engine.workflow.nodes import RelayNode, StageNode
from engine.workflow.plan import Plan
from engine.workflow.transitions import Decide

Recall = Callable[[str], bytes | None]
"""Position -> the stored result of this run, JSON; None where there is none."""

START = "~start"
"""The step that keeps input and context; `~` cannot begin the id of a step."""

_WRAPPED = {"~input": INPUT, "~context": CONTEXT}

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def nothing_yet(position: str) -> bytes | None:  # noqa: ARG001 - a Recall
    """The `Recall` of a run that has only begun."""
    return None


def wrapped(given: bytes, context: Mapping[str, Any]) -> bytes:
    """Return the payload of a run whose expressions read its input or context."""
    return _encode({"~input": msgspec.Raw(given), "~context": context})


def begun_with(payload: Any) -> dict[str, Any]:
    """Return input and context of a run by its payload.

    A child run is begun with what flows into it: that is its input, and it has no context.
    """
    if isinstance(payload, dict) and payload.keys() == _WRAPPED.keys():
        return {name: payload[key] for key, name in _WRAPPED.items()}
    return {INPUT: payload, CONTEXT: {}}


class Scope:
    """The values that the expressions of one hop may read.

    Args:
        plan: of the run.
        recall: its earlier results.
        decide: for deciders that are functions, not expressions.
    """

    def __init__(self, plan: Plan, recall: Recall, decide: Decide) -> None:
        self._plan = plan
        self._recall = recall
        self._decide = decide
        self._ended: dict[str, bytes] = {}

    def received(self, position: str, payload: bytes) -> bytes:
        """Return what the node at `position` receives: the payload, or what its `bind` makes of it.

        Raises:
            ExpressionFailed: an expression has no usable value; trying again cannot help.
        """
        if position.startswith("~"):
            return payload
        node = self._plan.nodes[int(position.partition(".")[0])]
        if not isinstance(node, StageNode | RelayNode) or node.bind is None:
            return payload
        if isinstance(node.bind, str):
            return _encode(self._value(node.bind, payload))
        return _encode([self._value(code, payload) for code in node.bind])

    def behind(self, position: str, result: bytes) -> Decide:
        """Return the `Decide` for what follows the attempt at `position`.

        Its result is stored in the very commit that these decisions lead to, so it is told here.
        """
        self._ended[position] = result
        return self.decide

    def decide(self, name: str, value: bytes) -> str:
        """Return the word for what is decided, by a function or an expression; a `Decide`.

        Raises:
            ExpressionFailed: as `received`.
        """
        if not is_code(name):
            return self._decide(name, value)
        return str(self._value(name, value))

    def _value(self, written: str, value: bytes) -> Any:
        code = Code.read(written)
        try:
            reads = code.reads()
        except Refused as error:
            raise ExpressionFailed(code.text, error.problem) from None
        scope: dict[str, Any] = {}
        if VALUE in reads.names:
            scope[VALUE] = _decode(value)
        if INPUT in reads.names or CONTEXT in reads.names:
            scope |= begun_with(self._recalled(START, code.text))
        if reads.steps:
            scope[STEPS] = {step: {OUTPUT: self._recalled(step, code.text)} for step in reads.steps}
        return code.value(scope)

    def _recalled(self, step: str, text: str) -> Any:
        number = self._plan.steps.get(step)
        if number is None:
            found = None
        elif str(number) in self._ended:
            found = self._ended[str(number)]
        else:
            found = self._recall(str(number))
        if found is None:
            raise ExpressionFailed(text, f"reads step {step!r}, whose result is not stored")
        return _decode(found)
