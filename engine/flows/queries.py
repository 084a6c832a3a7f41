"""Expressions in JMESPath.

Owns: what an expression reads, and its evaluation within the limits. Must not: let a value into an
error. Every node visited is paid for, and every value that a function or a comparison looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from engine.errors import ExtraMissing, nearest
from engine.flows.cost import MAX_JMESPATH_UNITS, Refused, TooCostly, check_text
from engine.flows.reads import NAMES, Reads, reads_of

Tree = Mapping[str, Any]

# These ask of what their first child gives, not of the whole: only that one reads names.
_LED = ("subexpression", "index_expression", "pipe", "projection", "value_projection",
        "filter_projection", "flatten")  # fmt: skip
# These ask of the whole where they begin an expression.
_WHOLE = ("current", "identity")


class JmespathExpression:
    """One expression, parsed and checked.

    Raises:
        Refused: it is no JMESPath, or reads what there is not.
        ExtraMissing: the library is not installed.
    """

    def __init__(self, text: str) -> None:
        check_text(text)
        self._tree = _parsed(text)
        try:
            self.reads: Reads = reads_of(list(_paths(self._tree)))
            _check_functions(self._tree)
        except RecursionError:
            raise Refused("is nested too deep") from None

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Return its value.

        Raises:
            TooCostly: it costs more than the limit on these values.
            Refused: a function in it fails; the words hold no values.
        """
        try:
            interpreter = import_module("engine.flows.frugal").Frugal(MAX_JMESPATH_UNITS)
            return interpreter.visit(self._tree, dict(scope))
        except RecursionError:
            raise TooCostly from None
        except (_library().exceptions.JMESPathError, TypeError, ValueError, ArithmeticError):
            raise Refused("has no value: a call in it fails on what it is given") from None


def _library() -> Any:
    try:
        return import_module("jmespath")
    except ModuleNotFoundError:
        raise ExtraMissing("flows", "JMESPath") from None


def _parsed(text: str) -> Tree:
    library = _library()
    try:
        tree: Tree = library.compile(text).parsed
    except (library.exceptions.JMESPathError, ValueError, RecursionError) as error:
        complaint = str(error).splitlines()[0].rstrip(":")[:160]
        raise Refused(f"is no JMESPath: {complaint}") from None
    return tree


def _paths(tree: Tree) -> Iterator[tuple[str, ...]]:
    """Find what is read from the whole; raises Refused where the whole itself is."""
    kind, children = tree["type"], tree["children"]
    if kind in _WHOLE:
        raise Refused(f"begins with no name; begin with one of {', '.join(NAMES)}")
    if kind == "expref":
        return  # it is asked of each item
    if kind == "field":
        yield (tree["value"],)
    elif kind in _LED:
        path = _chain(tree)
        if path:
            yield path
        else:
            yield from _paths(children[0])
    else:
        for child in children:
            if isinstance(child, Mapping):
                yield from _paths(child)


def _chain(tree: Tree) -> tuple[str, ...]:
    """Return the names that a chain of fields begins with, () where it begins otherwise."""
    if tree["type"] == "field":
        return (tree["value"],)
    if tree["type"] not in _LED:
        return ()
    first, *rest = tree["children"]
    path = _chain(first)
    if not path or tree["type"] != "subexpression" or first["type"] in _LED[1:]:
        return path
    for child in rest:
        path = (*path, *_chain(child))
        if child["type"] != "field":
            break
    return path


def _check_functions(tree: Tree) -> None:
    if tree["type"] == "function_expression":
        known = _library().functions.Functions().FUNCTION_TABLE
        if tree["value"] not in known:
            name = str(tree["value"])
            raise Refused(f"calls {name!r}, which JMESPath has not", nearest(name, known))
    for child in tree["children"]:
        if isinstance(child, Mapping):
            _check_functions(child)
