"""An expression as it stands in a plan: language, what kind of value it must have, text.

Owns: the written form `language[kind]:text` and the evaluation of one. Must not: know where the
values that it reads come from.

    jmespath:steps.parse.output.repo     any value
    cel?:value.amount > 100              true or false: a condition
    cel@:timestamp(input.due)            a moment: a timestamp, or text in ISO 8601
    cel$:value.kind                      a text: the name of a case
    json:{"dry_run":true}                itself
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from engine.errors import ExpressionFailed
from engine.flows.conditions import CelExpression
from engine.flows.cost import MAX_VALUE_UNITS, Refused, TooCostly, units_of
from engine.flows.queries import JmespathExpression
from engine.flows.reads import NOTHING, Reads

LANGUAGES = ("cel", "jmespath")
CONSTANT = "json"
CONDITION, MOMENT, CASE, ANY = "?", "@", "$", ""

_KEPT_EXPRESSIONS = 1_000


class Expression(Protocol):
    """What the languages have in common."""

    @property
    def reads(self) -> Reads:
        """What it reads."""
        ...

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Return its value; raises Refused, TooCostly."""
        ...


class _Constant:
    reads = NOTHING

    def __init__(self, text: str) -> None:
        self._found = msgspec.json.decode(text)

    def value(self, scope: Mapping[str, Any]) -> Any:  # noqa: ARG002 - as its siblings
        return self._found


class Code(NamedTuple):
    """An expression in its parts."""

    language: str
    text: str
    kind: str = ANY

    @classmethod
    def read(cls, written: str) -> Code:
        """Return the parts of the written form."""
        head, _, text = written.partition(":")
        kind = head[-1:] if head[-1:] in (CONDITION, MOMENT, CASE) else ANY
        return cls(head.removesuffix(kind) if kind else head, text, kind)

    def __str__(self) -> str:
        return f"{self.language}{self.kind}:{self.text}"

    def parsed(self) -> Expression:
        """Return it ready to be evaluated; raises Refused, ExtraMissing."""
        return _parsed(self.language, self.text)

    def reads(self) -> Reads:
        """Return what it reads; raises as `parsed`."""
        return self.parsed().reads

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Return its value, plain data of the kind it must have.

        Raises:
            ExpressionFailed: it has none, costs too much, or is of another kind.
        """
        try:
            found = _plain(self.parsed().value(scope))
            self._check_kind(found)
        except TooCostly:
            raise ExpressionFailed(self.text, "costs more than the limit here") from None
        except Refused as error:
            raise ExpressionFailed(self.text, error.problem) from None
        return found

    def _check_kind(self, found: Any) -> None:
        if self.kind == CONDITION and not isinstance(found, bool):
            raise Refused(f"gives {_kind_of(found)} where true or false is needed")
        if self.kind == CASE and not isinstance(found, str):
            raise Refused(f"gives {_kind_of(found)} where the name of a case is needed")
        if self.kind == MOMENT and not _is_moment(found):
            raise Refused("gives no moment in ISO 8601 with a time zone")


@lru_cache(_KEPT_EXPRESSIONS)
def _parsed(language: str, text: str) -> Expression:
    if language == "cel":
        return CelExpression(text)
    if language == "jmespath":
        return JmespathExpression(text)
    if language == CONSTANT:
        return _Constant(text)
    raise Refused(f"is in the language {language!r}, which this release does not know")


def _plain(value: Any) -> Any:
    """Return a value as JSON would carry it; raises Refused, TooCostly."""
    if isinstance(value, datetime):
        return value.isoformat()
    units_of(value, MAX_VALUE_UNITS)
    return _checked(value)


def _checked(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _checked(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_checked(part) for part in value]
    raise Refused(f"gives {_kind_of(value)}, which JSON cannot carry")


def _kind_of(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _is_moment(found: Any) -> bool:
    try:
        return datetime.fromisoformat(found).tzinfo is not None
    except (TypeError, ValueError):
        return False
