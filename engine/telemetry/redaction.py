"""The one filter between what the engine knows and what it writes down.

Owns: which keys are secret, which are payload, and how long a text may be. Used by logs, spans,
dead letters and audit. Must not: raise, or return anything unbounded; what it cannot read it
names by type.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice
from typing import Final

MASK: Final = "***"
TEXT_LIMIT: Final = 2_000
"""Characters of any one text."""
_DEPTH_LIMIT: Final = 6
_ITEMS_LIMIT: Final = 50
_OVERLAP: Final = 2_000  # read beyond the limit, so that a cut never splits a secret unseen

_WORDS: Final = (
    r"pass(?:word|wd|phrase)?s?|pwd|tokens?|secrets?|authori[sz]ation|api_?keys?|cookies?"
    r"|credentials?|private_?keys?|access_?keys?|signing_?keys?|dsn"
)
_SECRET_KEY: Final = re.compile(rf"(?:^|_)(?:{_WORDS})(?:$|_)")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_PAYLOAD_KEYS: Final = frozenset({"args", "kwargs", "payload"})

_URL_CREDENTIALS: Final = re.compile(r"(://)[^\s/?#]*@")
_SCHEME_CREDENTIALS: Final = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    r"\b((?:[a-z0-9]+[_-]){0,4}"
    r"(?:password|passwd|pwd|token|secret|api[_-]?key|cookie|authorization)"
    r"[\"']?\s{0,2}[=:]\s{0,2})(?!(?:bearer|basic)\b)(\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,;&'\"]+)",
    re.IGNORECASE,
)


def redact(value: object) -> object:
    """A copy of `value` that is safe to write: plain, bounded, without secrets and payloads.

    Mappings lose `args`, `kwargs` and `payload` and have secret keys' values masked, at any
    depth up to 6; collections keep 50 items; texts go through `redact_text`.
    """
    return _redact(value, _DEPTH_LIMIT)


def redact_mapping(fields: Mapping[str, object]) -> dict[str, object]:
    """`redact` for a mapping, such as the data of a log record."""
    return _redact_mapping(fields, _DEPTH_LIMIT)


def redact_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Masks URL credentials, bearer tokens and `password=...`, and cuts to `limit` characters."""
    cut = len(text) > limit
    text = text[: limit + _OVERLAP]
    text = _URL_CREDENTIALS.sub(rf"\1{MASK}@", text)
    text = _SCHEME_CREDENTIALS.sub(rf"\1 {MASK}", text)
    text = _ASSIGNED.sub(rf"\1{MASK}", text)
    return f"{text[:limit]}... (cut)" if cut else text[:limit]


@lru_cache(maxsize=2_048)
def is_secret(key: str) -> bool:
    """True for `password`, `apiKey`, `X-Api-Key`, `github_token`, `Set-Cookie` and their like."""
    words = _SEPARATORS.sub("_", _CAMEL.sub("_", key[:200]).lower())
    return _SECRET_KEY.search(words) is not None


def _redact(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _redact_collection(value, depth) if depth else f"<{len(value)} items>"
    return _describe(value)


def _redact_collection(value: Collection[object], depth: int) -> object:
    if isinstance(value, Mapping):
        return _redact_mapping(value, depth)
    return [_redact(item, depth - 1) for item in islice(value, _ITEMS_LIMIT)]


def _redact_mapping(
    fields: Mapping[object, object] | Mapping[str, object], depth: int
) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in islice(fields.items(), _ITEMS_LIMIT):
        name = str(key)[:200]
        if name.lower() not in _PAYLOAD_KEYS:
            kept[name] = MASK if is_secret(name) else _redact(value, depth - 1)
    return kept


def _describe(value: object) -> str:
    try:
        return redact_text(str(value))
    except Exception:  # noqa: BLE001 - a foreign __str__ must not cost the record it was part of
        return f"<{type(value).__name__}>"
