"""The JMESPath library's interpreter, made to pay for what it does.

Owns: the price of every node. Must not: know what is evaluated. The one module that needs the
library when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jmespath.visitor import TreeInterpreter

from engine.flows.cost import TooCostly, units_of

Tree = Mapping[str, Any]


class Frugal(TreeInterpreter):  # type: ignore[misc]
    """Evaluates a tree; raises TooCostly when its units are used up."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self._units = units

    def _pay(self, units: int) -> None:
        self._units -= units
        if self._units < 0:
            raise TooCostly

    def _pay_for(self, value: Any) -> None:
        self._pay(units_of(value, self._units))

    def visit(self, node: Tree, *args: Any, **kwargs: Any) -> Any:
        """Visit any node."""
        self._pay(1)
        return super().visit(node, *args, **kwargs)

    def visit_function_expression(self, node: Tree, value: Any) -> Any:
        """Call a function."""
        arguments = [self.visit(child, value) for child in node["children"]]
        for argument in arguments:
            self._pay_for(argument)
        if node["value"] == "join" and len(arguments) == 2:
            # The only function whose result is larger than what it is given together.
            self._pay(_join_units(*arguments))
        return self._functions.call_function(node["value"], arguments)

    def visit_comparator(self, node: Tree, value: Any) -> Any:
        """Compare two values."""
        sides = [self.visit(child, value) for child in node["children"]]
        for side in sides:
            self._pay_for(side)
        return super().visit_comparator({**node, "children": [*map(_given, sides)]}, value)

    def visit_flatten(self, node: Tree, value: Any) -> Any:
        """Join the lists in a list."""
        found = self.visit(node["children"][0], value)
        if isinstance(found, list):
            self._pay(sum(len(part) for part in found if isinstance(part, list)) + len(found))
        return super().visit_flatten({**node, "children": [_given(found)]}, value)

    def visit_slice(self, node: Tree, value: Any) -> Any:
        """Take a part of a list."""
        self._pay(len(value) if isinstance(value, list) else 1)
        return super().visit_slice(node, value)


def _given(value: Any) -> Tree:
    return {"type": "literal", "value": value, "children": []}


def _join_units(glue: Any, parts: Any) -> int:
    if isinstance(glue, str) and isinstance(parts, list):
        return len(glue) * len(parts)
    return 1
