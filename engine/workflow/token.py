"""Tokens: a text that only this installation can have made, fit for an address.

Owns: the seal. Must not: know what tokens are for, keep the secret, or show a token.

A token is `<body>.<seal>`: the body in URL-safe base64, and HMAC-SHA256 over its purpose, its
namespace and that text. Who has a token has what it gives; it is not encrypted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from engine.errors import CallbackForged

MAX_CHARS = 2_000


def sealed(purpose: str, body: bytes, secret: bytes, namespace: str) -> str:
    """Return the token of a body."""
    text = _encoded(body)
    return f"{text}.{_seal(purpose, text, secret, namespace)}"


def opened(purpose: str, token: str, secret: bytes, namespace: str) -> bytes:
    """Return the body; raises CallbackForged unless `sealed` made the token, to the letter."""
    text, _, seal = token[: MAX_CHARS + 1].partition(".")
    # Text against text: base64 has several spellings of the same bytes.
    expected = _seal(purpose, text, secret, namespace)
    if not hmac.compare_digest(seal.encode("utf-8", "replace"), expected.encode()):
        raise CallbackForged
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise CallbackForged from None


def _seal(purpose: str, text: str, secret: bytes, namespace: str) -> str:
    told = f"callboard-{purpose}-1\n{namespace}\n{text}".encode("utf-8", "replace")
    return _encoded(hmac.new(secret, told, hashlib.sha256).digest())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
