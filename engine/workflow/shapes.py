"""What stages and deciders take, as JSON Schema: the types that a plan was compiled against.

Owns: the schema of an input. Must not: compare (`narrowing` does) or validate.

A plan carries the shapes of its stages' inputs, so its hash changes with them: what the runs of a
plan may have under way is what their plan says.
"""

from __future__ import annotations

from inspect import Parameter
from typing import Any

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from engine.workflow.fitting import described
from engine.workflow.payload import UNTYPED, InputCodec

Schema = dict[str, Any]

TYPE_NAME = "x-type"
"""Stands for a type that JSON Schema has no words for: its name as a person writes it."""

_REMARKS = frozenset(("title", "description", "default", "examples", "deprecated", "discriminator"))
"""What a schema says without demanding anything; it must not change a plan."""
_NAMED = frozenset(("properties", "$defs", "patternProperties"))
"""Keywords under which names stand, not keywords."""


def shape_of(inputs: InputCodec) -> Schema:
    """Return the schema of a payload: of the value for one parameter, of the array for several.

    An empty schema takes anything. Raises TypesUnresolved.
    """
    if len(inputs.fields) < 2:
        return _schema(inputs.fields[0].annotation) if inputs.fields else {}
    needed = sum(field.default is Parameter.empty for field in inputs.fields)
    return {
        "type": "array",
        "prefixItems": [_schema(field.annotation) for field in inputs.fields],
        "minItems": needed,
        "maxItems": len(inputs.fields),
    }


def _schema(annotation: Any) -> Schema:
    if any(annotation is untyped for untyped in UNTYPED):
        return {}
    try:
        # On the wire fields stand by their names.
        full = TypeAdapter(annotation).json_schema(by_alias=False, mode="validation")
    except (PydanticUserError, PydanticInvalidForJsonSchema):
        return {TYPE_NAME: described(annotation)}
    demands: Schema = _demands(full)
    return demands


def _demands(schema: Any) -> Any:
    """Return a schema without its remarks."""
    if isinstance(schema, list):
        return [_demands(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _demands(part) for name, part in value.items()}
        if key in _NAMED
        else value
        if key in ("enum", "const", "required")
        else _demands(value)
        for key, value in schema.items()
        if key not in _REMARKS
    }
