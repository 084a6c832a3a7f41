"""The shape of a declarative flow: every field of every node, once.

Owns: the table that the reader checks against and the JSON Schema is made from. Must not: read.
`schema()` is what `schema.json` beside this file holds; a test compares them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_STEPS = 1_000
MAX_DEPTH = 24
MAX_DOCUMENT_BYTES = 262_144

Schema = dict[str, Any]

_FLOW: Schema = {"$ref": "#/$defs/flow"}
_STEPS: Schema = {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1}
_DURATION: Schema = {"$ref": "#/$defs/duration"}
_CONDITION: Schema = {"$ref": "#/$defs/condition"}
_NAME: Schema = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_.-]{0,99}$"}
_ID: Schema = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_-]{0,99}$"}
_TEXT: Schema = {"type": "string"}


class Field(NamedTuple):
    """One field: its schema, what it means, and whether it must be there."""

    schema: Schema
    meaning: str
    required: bool = False


Fields = dict[str, Field]

DOCUMENT: Fields = {
    "$schema": Field(_TEXT, "Where an editor finds this schema; not read."),
    "id": Field(
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^\S*$"},
        "The idempotency key of the run: the same id again gives the first run. Without it, every "
        "start is a run of its own under a UUIDv7.",
    ),
    "name": Field(
        _NAME, 'The name of the pipeline, under which runs are listed; "flow" if absent.'
    ),
    "description": Field(_TEXT, "For people; not read."),
    "tenantId": Field(
        {"type": "string", "pattern": "^[A-Za-z0-9_.:@/+-]{1,100}$"}, "For whom the run is."
    ),
    "priority": Field(
        {"type": "integer", "minimum": 0, "maximum": 9},
        "Of the first messages; higher is sooner. Absent, it is the stages' own.",
    ),
    "context": Field(
        {"type": "object"}, "What expressions read as `context`, such as a correlation id."
    ),
    "bindings": Field(
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/binding"}},
        "What steps receive, by their ids; the same as `bind` at the step.",
    ),
    "steps": Field(_STEPS, "What to do, one after the other.", required=True),
}

COMMON: Fields = {
    "id": Field(_ID, "How expressions call its result: `steps.<id>.output`."),
    "description": Field(_TEXT, "For people; not read."),
    "bind": Field(
        {"$ref": "#/$defs/binding"}, "What it receives, instead of the result of the step before."
    ),
}

KINDS: dict[str, Fields] = {
    "stage": {
        "stage": Field(_NAME, "A stage to run. Its id, if it has no other, is its name.", True),
        "undo": Field(_NAME, "The stage that takes it back, should the run fail later."),
    },
    "pipeline": {"pipeline": Field(_NAME, "A child run of a pipeline.", True)},
    "steps": {"steps": Field(_STEPS, "One after the other.", True)},
    "parallel": {
        "parallel": Field(
            {"type": "array", "items": _FLOW, "minItems": 2, "maxItems": 256},
            "All at once on the same input; gives the list of results.",
            True,
        ),
        "need": Field(
            {"oneOf": [{"enum": ["all", "ended"]}, {"type": "integer", "minimum": 1}]},
            "How many must succeed: all, a number, or none as long as all have ended.",
        ),
    },
    "first": {
        "first": Field(
            {"type": "array", "items": _FLOW, "minItems": 2, "maxItems": 256},
            "A race on the same input; gives the result of the first that succeeds.",
            True,
        ),
    },
    "each": {
        "each": Field(_FLOW, "What to do with every item of the list that comes in.", True),
        "window": Field(
            {"type": "integer", "minimum": 1, "maximum": 256}, "Items under way at a time; 200."
        ),
        "on_error": Field(
            {"enum": ["fail", "collect"]}, "Whether an item that dies ends the run; fail."
        ),
        "pages": Field(_NAME, "The stage that reads the items page by page."),
    },
    "choose": {
        "choose": Field(
            {"oneOf": [{"$ref": "#/$defs/when"}, {"$ref": "#/$defs/condition"}]},
            "Conditions in order, the first that holds counts; or the name of a case.",
            True,
        ),
        "cases": Field(
            {"type": "object", "additionalProperties": _FLOW, "minProperties": 1},
            "By name, for a choose that gives the name of a case.",
        ),
        "otherwise": Field(_FLOW, "Where nothing else is chosen."),
    },
    "wait_for": {
        "wait_for": Field(_NAME, "The name of a signal; what it carries flows on.", True),
        "timeout": Field(_DURATION, "How long to wait."),
        "otherwise": Field(_FLOW, "What to do at the timeout; without it the run fails."),
    },
    "sleep": {"sleep": Field(_DURATION, "How long to pause.", True)},
    "sleep_until": {
        "sleep_until": Field(_CONDITION, "The moment to go on: a timestamp, or ISO 8601.", True)
    },
    "repeat": {
        "repeat": Field(_FLOW, "What to do again and again, on its own result.", True),
        "until": Field(_CONDITION, "When it is enough, judged on the result of a round.", True),
        "limit": Field(
            {"type": "integer", "minimum": 1, "maximum": 100_000}, "Rounds at most; 1,000."
        ),
        "every": Field(_DURATION, "The pause between two rounds."),
    },
}

CASE: Fields = {
    "when": Field(_CONDITION, "The condition.", True),
    "then": Field(_FLOW, "What to do where it holds.", True),
}

BINDINGS = ("jmespath", "cel", "value", "inputs")

_EXPRESSION: Schema = {"type": "string", "minLength": 1, "maxLength": 1_000}


def schema() -> Schema:
    """Return the JSON Schema (2020-12) of a document."""
    steps = [_object(f"{kind} step", {**fields, **COMMON}) for kind, fields in KINDS.items()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Callboard flow",
        "description": "A declarative flow; the same plan as a pipeline written in Python.",
        **_object("A flow", DOCUMENT),
        "$defs": {
            "flow": {"oneOf": [{"$ref": "#/$defs/step"}, _STEPS]},
            "step": {"oneOf": [_NAME, *steps]},
            "when": {"type": "array", "items": _object("A case", CASE), "minItems": 1},
            "duration": {
                "oneOf": [{"type": "string"}, {"type": "integer", "minimum": 0}],
                "description": "As 250ms, 15s, 5m, 2h, 7d or 1h30m; a number is milliseconds.",
            },
            "condition": {
                "oneOf": [_EXPRESSION, _language("cel"), _language("jmespath")],
                "description": "An expression; plain text is CEL.",
            },
            "binding": {
                "oneOf": [
                    _EXPRESSION,
                    _language("jmespath"),
                    _language("cel"),
                    {"type": "object", "properties": {"value": {}}, "required": ["value"],
                     "additionalProperties": False},
                    {"type": "object", "required": ["inputs"], "additionalProperties": False,
                     "properties": {"inputs": {"type": "object", "minProperties": 1,
                                    "additionalProperties": {"$ref": "#/$defs/binding"}}}},
                ],
                "description": "An expression, plain text is JMESPath; or a constant; or one "
                "binding for every parameter of the stage.",
            },
        },
    }  # fmt: skip


def _language(name: str) -> Schema:
    return {
        "type": "object",
        "properties": {name: _EXPRESSION},
        "required": [name],
        "additionalProperties": False,
    }


def _object(title: str, fields: Fields) -> Schema:
    return {
        "title": title,
        "type": "object",
        "properties": {
            name: {**field.schema, "description": field.meaning} for name, field in fields.items()
        },
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }
