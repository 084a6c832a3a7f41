"""The queues of the backbone and how a profile and a person change them.

Owns: the table of the five queues and the merging of overrides. Must not: read the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from engine.config.policies import QueuePolicy, field_name


class Profile(StrEnum):
    """Where an engine runs; it changes defaults and whether an embedded server may be started."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _queue(
    priority: str, concurrency: int, memory_mb: int, attempts: int, base_ms: int
) -> dict[str, Any]:
    return {
        "priority": priority,
        "global_concurrency": concurrency,
        "memory_limit_mb": memory_mb,
        "retry": {"attempts": attempts, "base_ms": base_ms},
        "retention": {"completed_count": 100, "failed_count": 50},
    }


# The backbone. A concurrency is global: it holds over all workers together.
BACKBONE: dict[str, dict[str, Any]] = {
    "ingress-events": _queue("high", 20, 256, 5, 2_000),
    "orchestration-flows": _queue("high", 15, 512, 3, 5_000),
    "integration-tasks": _queue("medium", 10, 128, 7, 10_000),
    "notifications": _queue("medium", 8, 64, 5, 30_000),
    "analytics-events": _queue("low", 5, 256, 3, 60_000),
}


def canonical(queue: str) -> str:
    """Give one spelling for `ingress-events`, `ingress_events` and `INGRESS_EVENTS`."""
    return re.sub(r"[-.]", "_", queue).lower()


def merge_queues(profile: object, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Give raw policies by canonical name: the table, then the profile, then overrides."""
    development = profile in (Profile.DEVELOPMENT, Profile.DEVELOPMENT.value)
    merged = {
        canonical(name): {"name": name, **(_for_development(policy) if development else policy)}
        for name, policy in BACKBONE.items()
    }
    for name, override in overrides.items():
        if isinstance(override, QueuePolicy):
            merged[canonical(name)] = override.model_dump()
        elif isinstance(override, Mapping):
            default = merged.get(canonical(name), {"name": name})
            merged[canonical(name)] = _deep_merge(QueuePolicy, default, override)
        else:
            merged[canonical(name)] = override  # refused, with its place, by validation
    return merged


def _for_development(policy: dict[str, Any]) -> dict[str, Any]:
    """Half the concurrency and at most three attempts: a laptop, and a person who waits."""
    retry = {**policy["retry"], "attempts": min(policy["retry"]["attempts"], 3)}
    return {**policy, "global_concurrency": policy["global_concurrency"] // 2, "retry": retry}


def _deep_merge(
    model: type[BaseModel], default: Mapping[str, Any], override: Mapping[str, Any]
) -> dict[str, Any]:
    merged = dict(default)
    for key, value in override.items():
        name = field_name(model, key) or key
        field = model.model_fields.get(name)
        if field and isinstance(value, Mapping) and isinstance(field.annotation, type):
            merged[name] = _deep_merge(field.annotation, merged.get(name, {}), value)
        else:
            merged[name] = value.model_dump() if isinstance(value, BaseModel) else value
    return merged
