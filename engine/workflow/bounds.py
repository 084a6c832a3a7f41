"""Numbers people give as options, checked against their bounds.

Owns: `whole_number` and `number`. Must not: know which options there are.
"""

from __future__ import annotations

import math

from engine.errors import OptionInvalid


def whole_number(option: str, value: object, low: int, high: int, note: str = "") -> int:
    """Return `value` if it is an int (no bool) from `low` to `high`; raises OptionInvalid."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise OptionInvalid(option, value, f"a whole number from {low} to {high}{note}")


def number(option: str, value: object, low: float, high: float) -> float:
    """Return `value` if it is a finite number from `low` to `high`; raises OptionInvalid."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):  # noqa: SIM102
        if low <= value <= high:
            return value
    raise OptionInvalid(option, value, f"a number from {low} to {high}")
