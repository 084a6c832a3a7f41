"""How one member of a group ended, where the group goes on whatever becomes of it.

Owns: `Settled`, its JSON and its type. Must not: know which groups settle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from engine.workflow.failure import Failure

T = TypeVar("T")

_encode = msgspec.json.encode


@dataclass(frozen=True)
class Defect:
    """Why a member has no result: the error's class and message."""

    type: str
    message: str


@dataclass(frozen=True)
class Settled(Generic[T]):
    """One member's end: `value` if it is `ok`, else `error`."""

    ok: bool
    value: T | None = None
    error: Defect | None = None


def settled(result: Any) -> Any:
    """Return `Settled[result]` for a type known only at run time."""
    return Settled[result]


def succeeded(result: bytes) -> bytes:
    """Return the JSON of a member that has a result."""
    return b'{"ok":true,"value":%b}' % result


def failed(failure: Failure) -> bytes:
    """Return the JSON of a member that has none."""
    return b'{"ok":false,"error":%b}' % _encode({"type": failure.type, "message": failure.message})
