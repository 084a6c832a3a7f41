"""GitHub's webhooks: from a delivery to a notice that was sent and a usage that was counted.

Owns: the pipeline `github-events`. Must not: hold logic of its stages.

    from pipelines.github_events import github_events, Delivery, tenant_of
    github_events.start(Delivery(id=..., event=..., payload=body), tenant=tenant_of(body), key=...)

`sample.jsonl` beside it holds real deliveries, trimmed to what the stages read; they come from the
npm package @octokit/webhooks-examples (MIT).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from actors.analytics import record
from actors.deliveries import Delivery
from actors.ingress import normalise
from actors.integration import enrich
from actors.notification import notify
from actors.orchestration import (
    brief_developers,
    brief_guards,
    brief_owners,
    brief_participants,
    conclude,
    family_of,
)
from actors.tenants import tenant_of
from engine import Pipeline, choose

__all__ = ["Delivery", "from_line", "github_events", "tenant_of"]

by_family = choose(
    family_of,
    {"code": brief_developers, "conversation": brief_participants, "security": brief_guards},
    otherwise=brief_owners,
)

github_events = Pipeline(
    "github-events", normalise | by_family | enrich | (notify & record) | conclude
)


def from_line(line: dict[str, Any], number: int, repetition: int) -> tuple[Delivery, str, str]:
    """Makes the start of a run from a line `{"event": ..., "payload": {...}}` of a file.

    Args:
        line: The line, decoded.
        number: Of the line, from 1.
        repetition: Of the whole file, from 1.

    Returns:
        (input, idempotency key, tenant). The key names line, repetition and content: feeding the
        same file again gives the same keys, and two files do not meet.

    Raises:
        pydantic.ValidationError: The line is no delivery.
    """
    content = json.dumps(line, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:12]
    identity = f"{number}-{repetition}-{digest}"
    delivery = Delivery(id=identity, event=line.get("event", ""), payload=line.get("payload", {}))
    return delivery, identity, tenant_of(delivery.payload)
