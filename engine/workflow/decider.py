"""A function that decides: the case of a choose, the end of a repeat, the end of a sleep.

Owns: `Decider`, from a JSON value to the word for what was decided: the name of a case, "True" or
"False", a moment in ISO 8601. Must not: know the cases or act on them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from engine.errors import DefinitionInvalid
from engine.workflow.names import definition_name
from engine.workflow.payload import InputCodec
from engine.workflow.registry import origin_of
from engine.workflow.signature import Signature, read_signature

Case = Callable[..., str]
Pure = Callable[..., Any]


class Decider:
    """A named pure function of the value that flows by.

    Its parameters are read like a stage's: one takes the value itself, several take an array.
    """

    def __init__(self, fn: Pure) -> None:
        self.name = definition_name("decider", getattr(fn, "__name__", None))
        self.origin = origin_of(fn)
        self._fn = fn
        self._signature: Signature | None = None
        self._inputs: InputCodec | None = None

    def decide(self, value: bytes) -> str:
        """Return the word for what is decided on a JSON value.

        Raises:
            PayloadInvalid: the value does not have the type the function declares.
        """
        case: Any = self._fn(*self.inputs.decode(value))
        return str(case.value) if isinstance(case, Enum) else str(case)

    @property
    def inputs(self) -> InputCodec:
        """The codec of what the function looks at."""
        if self._inputs is None:
            self._inputs = InputCodec(self.name, self._read().fields)
        return self._inputs

    def takes(self) -> Any:
        """Return the type the function looks at."""
        return self._read().takes()

    def _read(self) -> Signature:
        if self._signature is None:
            signature = read_signature(self.name, self._fn)
            if signature.context_parameter or signature.keywords:
                raise DefinitionInvalid(
                    f"Decider {self.name!r}",
                    "takes a Context or keyword-only parameters",
                    "It must be a pure function of the value.",
                )
            self._signature = signature
        return self._signature
