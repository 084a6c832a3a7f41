"""From environment variables to settings.

Owns: the names (the `CALLBOARD_` prefix, `__` for one level down, a few customary names) and
the refusal of unknown ones. Must not: validate values, or read `os.environ` at import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_settings import PydanticBaseSettingsSource

from engine.config.policies import QueuePolicy, field_name, nested_model
from engine.errors import ConfigurationError, did_you_mean

PREFIX = "CALLBOARD_"

# Customary names, read where the CALLBOARD_ variable of the same setting is missing.
ALIASES: dict[str, tuple[str, ...]] = {
    "namespace": ("QUEUE_PREFIX", "REDIS_PREFIX"),
    "redis_url": ("REDIS_URL",),
    "redis_host": ("REDIS_HOST",),
    "redis_port": ("REDIS_PORT",),
    "redis_db": ("REDIS_DB",),
    "redis_password": ("REDIS_PASSWORD",),
    "otlp_endpoint": ("OTEL_EXPORTER_OTLP_ENDPOINT",),
}

Path = tuple[str, ...]


class EnvironmentSource(PydanticBaseSettingsSource):
    """Hands the environment to pydantic-settings, read by our own rules."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` gives all values at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """Give the nested values of the environment as it is now."""
        return read_environment(os.environ, self.settings_cls)[0]


def read_environment(
    environ: Mapping[str, str], model: type[BaseModel]
) -> tuple[dict[str, Any], dict[Path, str]]:
    """Turn environment variables into nested values.

    An empty variable counts as unset, and `none` as None. `__` goes one level down; a queue's `-`
    and `.` are written `_`: `CALLBOARD_QUEUES__INGRESS_EVENTS__RETRY__ATTEMPTS=7`.

    Returns:
        The values, and for each path into them the variable it came from.

    Raises:
        ConfigurationError: A CALLBOARD_ variable is unknown, or two customary names disagree.
    """
    values: dict[str, Any] = {}
    origins: dict[Path, str] = {}
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and text.strip():
            path = _path_of(name, model)
            _put(values, path, text.strip())
            origins[path] = name
    for field, names in ALIASES.items():
        given = {name: environ[name] for name in names if _usable(name, environ.get(name))}
        if given and field not in values:
            origins[(field,)], values[field] = _only_one(field, given)
    return values, origins


def variable_name(path: Path) -> str:
    """Give the variable of a setting: `("retention_ms",)` is CALLBOARD_RETENTION."""
    name = "__".join(re.sub(r"[-.]", "_", part) for part in path)
    return PREFIX + name.removesuffix("_ms").upper()


def _only_one(field: str, given: dict[str, str]) -> tuple[str, str]:
    if len(set(given.values())) > 1:
        both = " and ".join(f"{name}={value!r}" for name, value in given.items())
        own = variable_name((field,))
        raise ConfigurationError(f"{both} disagree. Unset one of them, or set {own}.")
    name, text = next(iter(given.items()))
    return name, text.strip()


def _usable(name: str, text: str | None) -> bool:
    if not text or not text.strip():
        return False
    # Kubernetes sets REDIS_PORT=tcp://10.0.0.7:6379 in every pod beside a service named redis.
    return not (name == "REDIS_PORT" and text.startswith("tcp://"))


def _path_of(name: str, model: type[BaseModel]) -> Path:
    parts = tuple(name.removeprefix(PREFIX).lower().split("__"))
    of_queue = parts[0] == "queues"
    if of_queue and len(parts) > 2 and parts[1]:
        fields = _resolve(QueuePolicy, parts[2:])
        if fields and fields != ("name",):
            return ("queues", parts[1], *fields)
    elif not of_queue and (fields := _resolve(model, parts)):
        return fields
    known = _known_names(model, parts[1] if of_queue and len(parts) > 1 else "<queue>")
    raise ConfigurationError(
        f"Unknown variable {name}: no setting has this name.{did_you_mean(name, known)} "
        "Correct it or unset it."
    )


def _resolve(model: type[BaseModel], parts: Path) -> Path | None:
    field = field_name(model, parts[0])
    if field is None:
        return None
    inner = nested_model(model, field)
    if inner is None:
        return (field,) if len(parts) == 1 else None
    rest = _resolve(inner, parts[1:]) if len(parts) > 1 else None
    return (field, *rest) if rest else None


def _known_names(model: type[BaseModel], queue: str) -> list[str]:
    policies = (("queues", queue, *path) for path in _leaves(QueuePolicy) if path != ("name",))
    own = (path for path in _leaves(model) if path != ("queues",))
    return [variable_name(path) for path in (*own, *policies)]


def _leaves(model: type[BaseModel]) -> Iterator[Path]:
    for name in model.model_fields:
        inner = nested_model(model, name)
        if inner is None:
            yield (name,)
        else:
            yield from ((name, *rest) for rest in _leaves(inner))


def _put(values: dict[str, Any], path: Path, text: str) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = None if text.lower() == "none" else text
