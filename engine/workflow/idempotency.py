"""How repeated work is recognised.

Owns: the policy and the content key. Must not: remember anything; the store claims keys atomically.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec

from engine.clock import Duration, duration_ms
from engine.errors import OptionInvalid, PayloadInvalid, Problem

_decode = msgspec.json.Decoder().decode
_canonical = msgspec.json.Encoder(order="sorted").encode
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Starts with the same content within a window are one run.

    Args:
        fields: the critical fields, as dotted paths into the payload; None takes all of it.
        window: how far apart two equal starts may be to count as one; None takes the
            installation's, five minutes by default, but never more than the ttl.
        ttl: how long the result is kept for repeats.
        on_dead: what a repeat of a failed run gets: "error", or "restart" for a new run.
    """

    fields: Sequence[str] | None = None
    window: Duration | None = None
    ttl: Duration = "24h"
    on_dead: Literal["error", "restart"] = "error"
    window_ms: int | None = field(init=False)
    ttl_ms: int = field(init=False)

    def __post_init__(self) -> None:
        if self.fields is not None:
            object.__setattr__(self, "fields", _paths(self.fields))
        if self.on_dead not in ("error", "restart"):
            raise OptionInvalid("on_dead", self.on_dead, "'error' or 'restart'")
        window_ms = None if self.window is None else duration_ms(self.window, name="window")
        ttl_ms = duration_ms(self.ttl, name="ttl")
        object.__setattr__(self, "window_ms", window_ms)
        object.__setattr__(self, "ttl_ms", ttl_ms)
        if not ttl_ms:
            raise OptionInvalid("ttl", self.ttl, "a duration above 0")
        if window_ms is not None and not 0 < window_ms <= ttl_ms:
            raise OptionInvalid("window", self.window, "a duration above 0 and up to the ttl")

    def window_or(self, default_ms: int) -> int:
        """Return the window in ms; `default_ms`, cut to the ttl, where the policy names none."""
        return min(default_ms, self.ttl_ms) if self.window_ms is None else self.window_ms

    def content_key(self, payload: bytes, parameters: Sequence[str] = ()) -> str:
        """Return the key of a payload under this policy; see the function of this name."""
        return content_key(payload, self.fields, parameters)


def content_key(
    payload: bytes, fields: Sequence[str] | None = None, parameters: Sequence[str] = ()
) -> str:
    """Return the SHA-256 (hex) of what matters in a payload.

    The order of keys and white space do not change it; an absent field differs from a null.

    Args:
        payload: JSON.
        fields: dotted paths into it, list entries by number; None takes all of it.
        parameters: names for the entries of the outermost list, for a stage of several inputs.

    Raises:
        PayloadInvalid: the payload has none of the fields; all such would count as equal.
    """
    value = _decode(payload)
    if fields is None:
        return hashlib.sha256(_canonical(value)).hexdigest()
    picked = [_picked(value, path.split("."), parameters) for path in sorted(fields)]
    if all(part is _ABSENT for part in picked):
        problems = [Problem(path, "missing") for path in fields]
        raise PayloadInvalid("idempotency", "payload", problems)
    present = [[] if part is _ABSENT else [part] for part in picked]
    return hashlib.sha256(_canonical(present)).hexdigest()


def _picked(value: Any, path: list[str], parameters: Sequence[str]) -> Any:
    if path[0] in parameters and isinstance(value, list):
        path = [str(list(parameters).index(path[0])), *path[1:]]
    found: Any = cast("Any", value)
    for step in path:
        found = _step(found, step)
    return found


def _step(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).get(step, _ABSENT)
    if isinstance(value, list) and step.isdecimal():
        entries = cast("Sequence[Any]", value)
        return entries[int(step)] if int(step) < len(entries) else _ABSENT
    return _ABSENT


def _paths(fields: object) -> tuple[str, ...]:
    paths = tuple(cast("Sequence[Any]", fields)) if isinstance(fields, list | tuple) else ()
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise OptionInvalid("fields", fields, "a list of dotted paths, or None for all")  # pyright: ignore[reportUnknownArgumentType]
    return cast("tuple[str, ...]", paths)
