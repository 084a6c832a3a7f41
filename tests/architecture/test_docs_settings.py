"""`docs/configuration.md` and `docs/queues.md` tell every setting, its default and its effect."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from engine.clock import duration_ms
from engine.config import BACKBONE, QueuePolicy, Settings, TenantLimits
from engine.config.environment import ALIASES, variable_name
from engine.config.policies import nested_model
from engine.workflow.retry import Retry
from tests.architecture.reading import ROOT, table

CONFIGURATION, QUEUES = "docs/configuration.md", "docs/queues.md"

# Settings that code outside `engine/config` asks for by another name.
ASKED_AS = {
    **dict.fromkeys(
        ("redis_url", "redis_host", "redis_port", "redis_db", "redis_password"), "redis_address"
    ),
    **dict.fromkeys(("base_ms", "factor", "max_ms", "jitter"), "retry"),
    "log_format": "shown_log_format",
    "priority": "priority_class",
    "profile": "redis_address",
    "queues": "policy",
}


def leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in model.model_fields:
        inner = nested_model(model, name)
        if inner is None:
            yield (*above, name)
        else:
            yield from leaves(inner, (*above, name))


def default_of(model: type[BaseModel], path: tuple[str, ...]) -> object:
    value: object = model.model_construct()
    for name in path:
        value = getattr(value, name)
    return value


def agrees(said: str, default: object) -> bool:
    if "](" in said or said.startswith(("by ", "no ")):  # told in words
        return True
    if default is None:
        return said == "none"
    if re.fullmatch(r"\d+(ms|s|m|h|d)", said):
        return duration_ms(said) == default
    return said == str(getattr(default, "value", default))


def test_every_setting_is_told_with_its_variables_and_its_default() -> None:
    told = table(CONFIGURATION, "Settings")
    for name, field in Settings.model_fields.items():
        assert name in told, f"{CONFIGURATION} does not list {name}"
        _, variables, default, *_ = told[name]
        for variable in (variable_name((name,)), *ALIASES.get(name, ())):
            assert variable in variables.replace("__...", "").split(", "), f"{name}: {variable}"
        assert agrees(default, field.get_default()), f"{name}: {default}"


def test_no_setting_is_told_that_does_not_exist() -> None:
    told = [name for name in table(CONFIGURATION, "Settings") if re.fullmatch(r"[a-z_]+", name)]
    assert set(told) - {"setting"} == set(Settings.model_fields)


@pytest.mark.parametrize(("heading", "model"), [("Queues", QueuePolicy), ("Tenants", TenantLimits)])
def test_every_option_of_queues_and_tenants_is_told(heading: str, model: type[BaseModel]) -> None:
    told = table(CONFIGURATION, heading)
    for path in leaves(model):
        if path != ("name",):
            _, variable, default, *_ = told[".".join(path)]
            assert variable_name(path).removeprefix("CALLBOARD_") in variable
            assert agrees(default, default_of(model, path)), f"{path}: {default}"


def test_every_setting_is_in_force() -> None:
    rooms = [path for path in (ROOT / "engine").rglob("*.py") if "config" not in path.parts]
    written = "\n".join(path.read_text() for path in rooms)
    assert re.search(r"settings(\(\))?\.tenant\b", written)
    for path in (*leaves(Settings), *leaves(QueuePolicy)):
        if path[0] not in ("tenant", "name"):
            name = ASKED_AS.get(path[-1], path[-1])
            assert re.search(rf"\.{name}\b", written), f"{'.'.join(path)}: nothing acts on it"


def delays(settings: Settings, queue: str) -> str:
    policy = settings.policy(queue).retry
    retry = Retry(policy.attempts, policy.base_ms, policy.factor, policy.max_ms, policy.jitter)
    return ", ".join(f"{delay_ms // 1000} s" for delay_ms in retry.table_ms())


def test_the_retry_tables_are_those_of_the_settings(clean_environment: pytest.MonkeyPatch) -> None:
    production, development = Settings(profile="production"), Settings(profile="development")
    told = table(QUEUES, "Retry tables")
    for queue in (*BACKBONE, "any other"):
        attempts = str(production.policy(queue).retry.attempts)
        expected = [attempts, delays(production, queue), delays(development, queue)]
        assert told[queue][1:] == expected


def test_the_table_of_queues_is_that_of_the_settings(clean_environment: pytest.MonkeyPatch) -> None:
    production, development = Settings(profile="production"), Settings(profile="development")
    told = table(QUEUES, "Queues")
    for queue in BACKBONE:
        policy = production.policy(queue)
        assert told[queue][1:] == [
            policy.priority,
            str(policy.global_concurrency),
            str(development.policy(queue).global_concurrency),
            f"{policy.memory_limit_mb} MB",
        ]
