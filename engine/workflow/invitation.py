"""Invitations: an address that starts runs of one pipeline for one tenant, for whoever holds it.

Owns: what an invitation says. Must not: start anything. It has no end of its own: a new
`callback_secret` ends all of them.
"""

from __future__ import annotations

import msgspec

from engine.errors import CallbackForged
from engine.workflow import token as tokens

_PURPOSE = "invitation"


class Invitation(msgspec.Struct, frozen=True, array_like=True):
    """Which pipeline, and for whom."""

    pipeline: str
    tenant: str


_read = msgspec.json.Decoder(Invitation).decode


def sealed(invitation: Invitation, secret: bytes, namespace: str) -> str:
    """Return the token of an invitation."""
    return tokens.sealed(_PURPOSE, msgspec.json.encode(invitation), secret, namespace)


def opened(token: str, secret: bytes, namespace: str) -> Invitation:
    """Return what a token says; raises CallbackForged unless `sealed` made it, to the letter."""
    try:
        return _read(tokens.opened(_PURPOSE, token, secret, namespace))
    except msgspec.MsgspecError:
        raise CallbackForged from None
