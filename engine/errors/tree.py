"""The root of the tree of errors, and the words every message is made of.

Owns: `CallboardError`, suggestions for misspelt names, and the safe showing of a value. Must not:
know any particular failure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_SHOWN_CHARS = 120


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name, or `""` when none is near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[near[0]] if near else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest known name, or `""` when none is near."""
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def shown(value: object) -> str:
    """Return `repr(value)` cut to a length that is safe in a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _restore(cls: type[CallboardError], message: str, facts: dict[str, Any]) -> CallboardError:
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(facts)
    return error


class CallboardError(Exception):
    """Root of every error that Callboard raises on purpose. `code` is stable over releases."""

    code: str = "callboard_error"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and facts: the constructors take other arguments than the message."""
        return _restore, (type(self), str(self), dict(self.__dict__))
