"""What pydantic found wrong with the settings, in words a person can act on.

Owns: naming variable, value, problem and remedy. Must not: show a secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from engine.config.environment import Path, read_environment, variable_name
from engine.config.policies import QueuePolicy, field_name
from engine.errors import ConfigurationError, did_you_mean, shown

_SECRET = ("redis_url", "redis_password")


def explain(
    error: ValidationError, model: type[BaseModel], arguments: Mapping[str, Any]
) -> ConfigurationError:
    """Put pydantic's findings in words: variable, value, what is wrong, what to do."""
    origins = read_environment(os.environ, model)[1]
    given = {field_name(model, key) or key for key in arguments}
    found = error.errors(include_url=False, include_context=False)
    return ConfigurationError(" ".join(_explain_one(one, model, origins, given) for one in found))


def _explain_one(
    finding: Mapping[str, Any], model: type[BaseModel], origins: Mapping[Path, str], given: set[str]
) -> str:
    path = tuple(str(part) for part in finding["loc"]) or ("settings",)
    if finding["type"] == "extra_forbidden":
        known = QueuePolicy.model_fields if path[0] == "queues" else model.model_fields
        return f"Unknown setting {'.'.join(path)!r}.{did_you_mean(path[-1], known)}"
    name = None if path[0] in given else origins.get(path)
    name = name or f"{'.'.join(path)} ({variable_name(path)})"
    value = "(hidden)" if path[0] in _SECRET else shown(finding["input"])
    problem = finding["msg"].removeprefix("Value error, ").rstrip(".")
    problem = problem[:1].lower() + problem[1:]
    return f"{name}={value} is refused: {problem}. Correct it, or leave it out for the default."
