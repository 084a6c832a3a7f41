"""What an expression may cost: units, counted before or while it is evaluated, never timed.

Owns: the limits and the measure of a value. Must not: know a language. A unit is about a tenth of a
microsecond of CEL and a microsecond of JMESPath on a small machine; the limits keep one evaluation
well under a second. The same expression on the same value always costs the same.
"""

from __future__ import annotations

from typing import Any

MAX_TEXT_CHARS = 1_000
MAX_NESTING = 32
MAX_CEL_UNITS = 3_000_000
MAX_JMESPATH_UNITS = 200_000
MAX_VALUE_UNITS = 200_000

_CHARS_A_UNIT = 16


class TooCostly(Exception):
    """More units than there are left."""


class Refused(Exception):
    """An expression that cannot be used, and the valid name nearest to what it says."""

    def __init__(self, problem: str, nearest: str = "") -> None:
        super().__init__(problem)
        self.problem, self.nearest = problem, nearest


def units_of(value: Any, limit: int) -> int:
    """Return the units of a value in memory: one a node, one more every 16 characters.

    Raises:
        TooCostly: there are more than `limit`; no more than that were looked at.
    """
    units = 0
    waiting = [value]
    while waiting:
        found = waiting.pop()
        units += 1
        if isinstance(found, str):
            units += len(found) // _CHARS_A_UNIT
        elif isinstance(found, dict):
            units += len(found)
        if units + len(waiting) > limit:
            raise TooCostly
        if isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, (list, tuple)):
            if len(found) > limit:
                raise TooCostly
            waiting.extend(found)
    return units


def check_text(text: str) -> None:
    """Refuse an expression that is too long or nested too deep to be read at leisure."""
    if not text.strip():
        raise Refused("is empty")
    if len(text) > MAX_TEXT_CHARS:
        raise Refused(f"has {len(text):,} characters; the limit is {MAX_TEXT_CHARS:,}")
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    if deepest > MAX_NESTING:
        raise Refused(f"is nested {deepest} deep; the limit is {MAX_NESTING}")
