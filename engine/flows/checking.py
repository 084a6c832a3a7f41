"""Whether one plain value has the shape that the table asks of it.

Owns: the small part of JSON Schema that the table uses, and its words. Must not: follow `$ref`;
whoever reads a flow, an expression or a duration knows how.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from engine.errors import nearest
from engine.flows.shapes import Schema

_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("text", lambda value: isinstance(value, str)),
    "integer": (
        "a whole number",
        lambda value: isinstance(value, int) and not isinstance(value, bool),
    ),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "array": ("a list", lambda value: isinstance(value, list)),
}


def complaint(schema: Schema, value: Any) -> tuple[str, str] | None:
    """Return what is wrong with a value and the nearest valid one, or None."""
    if "oneOf" in schema:
        return _one_of(schema["oneOf"], value)
    if "enum" in schema:
        return _enumerated(schema["enum"], value)
    word, of_type = _TYPES[schema["type"]]
    if not of_type(value):
        return f"{shown(value)} is not {word}", ""
    found = _bounds(schema, value)
    return (found, "") if found else None


def shown(value: Any) -> str:
    """Return a value as a message may hold it."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "a number of that size"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _one_of(schemas: list[Schema], value: Any) -> tuple[str, str] | None:
    if any("$ref" in schema for schema in schemas):
        return None
    found = [complaint(schema, value) for schema in schemas]
    return None if None in found else found[0]


def _enumerated(known: list[str], value: Any) -> tuple[str, str] | None:
    if value in known:
        return None
    near = nearest(value, known) if isinstance(value, str) else ""
    return f"{shown(value)} is none of {', '.join(known)}", near


def _bounds(schema: Schema, value: Any) -> str | None:
    pattern = schema.get("pattern")
    if pattern and not re.fullmatch(pattern, value, re.ASCII):
        return f"{shown(value)} has characters or a length that cannot be used"
    if isinstance(value, int):
        least, most = schema.get("minimum", value), schema.get("maximum", value)
        return None if least <= value <= most else f"{shown(value)} is not {_range(schema)}"
    least = max(schema.get(word, 0) for word in ("minLength", "minItems", "minProperties"))
    most = min(schema.get(word, len(value)) for word in ("maxLength", "maxItems"))
    if len(value) < least:
        return f"it has {len(value)} entries and needs {least} or more"
    return None if len(value) <= most else f"it has {len(value):,} entries; the limit is {most:,}"


def _range(schema: Schema) -> str:
    most = schema.get("maximum")
    return f"from {schema.get('minimum', 0)} to {most:,}" if most else "1 or more"
