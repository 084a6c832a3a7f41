"""Whose work a delivery is.

Owns: the rule. Must not: ask anybody; a tenant needs no declaration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.workflow.names import DEFAULT_TENANT, tenant_name

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.:@/+-]+")


def tenant_of(payload: Mapping[str, Any]) -> str:
    """The repository's owner, else the organization, else the installation, else the sender.

    Characters that no tenant can have become `-`: `dependabot[bot]` is `dependabot-bot-`. A
    payload that names none of them belongs to the tenant `default`.
    """
    installation = text_at(payload, "installation", "id")
    named = (
        text_at(payload, "repository", "owner", "login"),
        text_at(payload, "organization", "login"),
        installation and f"installation-{installation}",
        text_at(payload, "sender", "login"),
    )
    first = next((name for name in named if name), DEFAULT_TENANT)
    return tenant_name(_NOT_IN_A_NAME.sub("-", first)[:100])


def text_at(payload: Mapping[str, Any], *path: str) -> str | None:
    """The text or number at a path of keys; None where there is nothing of the kind."""
    value: Any = payload
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None
