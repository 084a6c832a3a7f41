"""Expressions in CEL, the Common Expression Language.

Owns: what of CEL is offered, and its evaluation within the limits. Must not: let a value into an
error. The library that parses and evaluates has no limits of its own, so what an expression can
cost at most is known before it begins; see `cel_words`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from engine.errors import ExtraMissing, nearest
from engine.flows.cel_words import MACROS, Path, Units, words_of
from engine.flows.cost import MAX_CEL_UNITS, Refused, TooCostly, check_text, units_of
from engine.flows.reads import Reads, reads_of

FUNCTIONS = (
    "size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string", "type", "dyn",
    "timestamp", "duration", "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate",
    "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
)  # fmt: skip
"""Pure, and linear in what they are given. `matches` is left out: its cost is its pattern's."""

_CALLED = re.compile(r"[A-Za-z_]\w*")
_FAILS = (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError)
_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (KeyError, "reads a field that is not there; ask has(...) first"),
    (IndexError, "reads an item that is not there; ask size(...) first"),
    (ZeroDivisionError, "divides by zero"),
    (OverflowError, "leaves the range of its numbers"),
    (TypeError, "joins values whose types do not fit; CEL converts nothing by itself"),
)


class CelExpression:
    """One expression, parsed and checked.

    Raises:
        Refused: it is no CEL, or uses what is not offered.
        ExtraMissing: the library is not installed.
    """

    def __init__(self, text: str) -> None:
        check_text(text)
        self._words = words_of(text)
        self._program = _parsed(text)
        self.reads: Reads = reads_of([*self._words.outside, *self._words.inside])
        self._check_functions()

    def _check_functions(self) -> None:
        for name in self._program.functions():
            if _CALLED.fullmatch(name) and name not in FUNCTIONS:
                known = (*FUNCTIONS, *MACROS, "has")
                raise Refused(f"calls {name!r}, which is not offered", nearest(name, known))

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Return its value.

        Raises:
            TooCostly: it could cost more than the limit on these values.
            Refused: it has none; the words hold no values.
        """
        if self._words.most_units(_measure(scope), MAX_CEL_UNITS) > MAX_CEL_UNITS:
            raise TooCostly
        try:
            return self._program.execute(dict(scope))
        except _FAILS as error:
            for kind, problem in _FAILURES:
                if isinstance(error, kind):
                    raise Refused(problem) from None
            raise Refused("has no value: a call in it fails on what it is given") from None


def _parsed(text: str) -> Any:
    try:
        library = import_module("cel")
    except ModuleNotFoundError:
        raise ExtraMissing("flows", "CEL") from None
    try:
        return library.compile(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"is no CEL: {_first_complaint(error)}") from None


def _first_complaint(error: Exception) -> str:
    found = re.search(r"ERROR: <input>:\d+:(\d+): ([^\n|]*)", str(error))
    if not found:
        return "it cannot be read"
    return f"{found[2].partition(' expecting ')[0].strip()[:120]} (character {found[1]})"


def _measure(scope: Mapping[str, Any]) -> Units:
    def measured(path: Path, limit: int) -> int:
        found: Any = scope
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                return 1 if isinstance(found, Mapping) else units_of(found, limit)
            found = found[name]
        return units_of(found, limit)

    return measured
