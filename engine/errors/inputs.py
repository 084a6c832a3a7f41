"""Errors of what a caller sends: it cannot be accepted, and nothing has been changed.

Owns: everything under `InputError`. Must not: show the value of a payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.errors.tree import CallboardError, shown


class InputError(CallboardError):
    """What was sent cannot be accepted; nothing has been changed."""

    code = "input_error"


class Problem(NamedTuple):
    """One thing wrong with a payload: where, and of which kind. Never the value."""

    location: str
    kind: str


class PayloadInvalid(InputError):
    """A value does not have the declared type, or is not JSON. The message holds no values."""

    code = "payload_invalid"

    def __init__(self, owner: str, part: str, problems: Sequence[Problem]) -> None:
        self.owner, self.part, self.problems = owner, part, tuple(problems[:20])
        listed = "; ".join(f"{at}: {kind}" if at else kind for at, kind in self.problems)
        more = len(problems) - len(self.problems)
        super().__init__(
            f"The {part} of {owner!r} does not have its declared type: {listed}"
            f"{f' (and {more} more)' if more > 0 else ''}. Send what the annotation says."
        )


class PayloadTooLarge(InputError):
    """A payload or result is larger than `max_payload_bytes`."""

    code = "payload_too_large"

    def __init__(self, owner: str, size_bytes: int, limit_bytes: int) -> None:
        self.owner, self.size_bytes, self.limit_bytes = owner, size_bytes, limit_bytes
        super().__init__(
            f"The payload of {owner!r} has {size_bytes:,} bytes; the limit is {limit_bytes:,}. "
            "Store the data elsewhere and send a reference, or raise max_payload_bytes."
        )


class TenantInvalid(InputError):
    """A tenant name has characters or a length that cannot be used."""

    code = "tenant_invalid"

    def __init__(self, value: object) -> None:
        self.value = shown(value)
        super().__init__(
            f"{shown(value)} is not a tenant. Use 1 to 100 characters of A-Z a-z 0-9 _ . : @ / + -."
        )


class KeyInvalid(InputError):
    """An idempotency key has characters or a length that cannot be used."""

    code = "key_invalid"

    def __init__(self, value: object) -> None:
        self.value = shown(value)
        super().__init__(
            f"{shown(value)} is not a key. Use 1 to 200 printable characters without white space."
        )


class AttributeInvalid(InputError):
    """An attribute of a run has a name, a value or a number that cannot be used."""

    code = "attribute_invalid"

    def __init__(self, name: object, remedy: str) -> None:
        self.name = shown(name)
        super().__init__(f"Attribute {shown(name)} cannot be used. {remedy}")


class CursorInvalid(InputError):
    """A cursor was not given by the same search."""

    code = "cursor_invalid"

    def __init__(self, value: object) -> None:
        self.value = shown(value)
        super().__init__(
            f"{shown(value)} is no cursor of this search. Repeat the search with the filter that "
            "gave the cursor, or begin without one."
        )


class PatchInvalid(InputError):
    """A patch is no JSON Patch, or does not apply to an input. The message holds no values."""

    code = "patch_invalid"

    def __init__(self, problem: str, stage: str = "") -> None:
        self.problem, self.stage = problem, stage
        where = f" to the input of {stage!r}" if stage else ""
        super().__init__(
            f"The patch cannot be applied{where}: {problem}. Give a JSON Patch (RFC 6902), such as "
            '[{"op": "replace", "path": "/amount", "value": 3}].'
        )


class LengthsDiffer(InputError):
    """A list given beside the inputs of `start_many` is not as long as the inputs."""

    code = "lengths_differ"

    def __init__(self, name: str, given: int, inputs: int) -> None:
        self.name, self.given, self.inputs = name, given, inputs
        super().__init__(f"{name} has {given} entries for {inputs} inputs. Give one per input.")


class NoCaseMatches(InputError):
    """A decider named a case that the choose does not have, and there is no `otherwise`."""

    code = "no_case_matches"

    def __init__(self, decider: str, case: object, cases: Iterable[str]) -> None:
        self.decider, self.case, self.cases = decider, shown(case), tuple(cases)
        super().__init__(
            f"{decider!r} chose {shown(case)}, which is none of {', '.join(self.cases)}. "
            "Add the case or give choose(..., otherwise=...)."
        )


class ExpressionFailed(InputError):
    """An expression of a declarative flow has no usable value here. The message holds no values."""

    code = "expression_failed"

    def __init__(self, expression: str, problem: str) -> None:
        self.expression, self.problem = shown(expression), problem
        super().__init__(
            f"The expression {shown(expression)} {problem}. Correct the flow or what it was given."
        )
