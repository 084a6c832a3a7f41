"""Correcting an input by a JSON Patch (RFC 6902). Never tells a value of the input."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch

from engine.errors import PatchInvalid

MAX_OPERATIONS = 100

_NEEDS = {"add": "value", "replace": "value", "test": "value", "move": "from", "copy": "from"}


class Patch:
    """A JSON Patch that was read and looks like one.

    Args:
        raw: The patch as JSON.

    Raises:
        PatchInvalid: It is no JSON Patch, or has more than 100 operations.
    """

    def __init__(self, raw: str | bytes) -> None:
        try:
            operations = json.loads(raw)
        except ValueError:
            raise PatchInvalid("it is not JSON") from None
        if not isinstance(operations, list) or not operations:
            raise PatchInvalid("it is not a list of operations")
        if len(operations) > MAX_OPERATIONS:
            raise PatchInvalid(f"it has more than {MAX_OPERATIONS} operations")
        self._operations = operations
        self._steps = [self._step(number) for number in range(len(operations))]

    def _step(self, number: int) -> jsonpatch.JsonPatch:
        operation = self._operations[number]
        try:
            needed = _NEEDS.get(operation["op"])
            if needed is None or needed in operation:
                return jsonpatch.JsonPatch([operation])
            raise KeyError(needed)  # noqa: TRY301 - the library finds out only when it applies it
        except Exception:  # noqa: BLE001 - the library refuses in many words, some with values
            raise PatchInvalid(f"{self._named(number)} is no operation") from None

    def _named(self, number: int) -> str:
        operation = self._operations[number]
        if not isinstance(operation, dict):
            return f"operation {number}"
        words = str(operation.get("op", "?"))[:20], str(operation.get("path", "?"))[:100]
        return f"operation {number} ({' '.join(words)})"

    def apply(self, payload: bytes, stage: str) -> bytes:
        """Returns the corrected JSON; raises PatchInvalid and changes nothing."""
        document: Any = json.loads(payload)
        for number, step in enumerate(self._steps):
            try:
                document = step.apply(document)
            except Exception:  # noqa: BLE001 - the library's words may show values of the input
                raise PatchInvalid(f"{self._named(number)} fails", stage) from None
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
