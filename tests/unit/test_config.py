"""Settings: defaults, profiles, environment, overrides, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.config import Profile, QueuePolicy, Settings, load_settings
from engine.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("clean_environment")


def test_production_is_the_profile_of_whoever_says_nothing() -> None:
    assert Settings().profile is Profile.PRODUCTION


@pytest.mark.parametrize(
    ("queue", "priority", "concurrency", "memory_mb", "attempts", "base_ms"),
    [
        ("ingress-events", "high", 20, 256, 5, 2_000),
        ("orchestration-flows", "high", 15, 512, 3, 5_000),
        ("integration-tasks", "medium", 10, 128, 7, 10_000),
        ("notifications", "medium", 8, 64, 5, 30_000),
        ("analytics-events", "low", 5, 256, 3, 60_000),
    ],
)
def test_the_backbone_has_its_documented_policies(
    queue: str, priority: str, concurrency: int, memory_mb: int, attempts: int, base_ms: int
) -> None:
    policy = Settings().policy(queue)
    assert (policy.name, policy.priority) == (queue, priority)
    assert (policy.global_concurrency, policy.local_concurrency) == (concurrency, None)
    assert policy.memory_limit_mb == memory_mb
    assert (policy.retry.attempts, policy.retry.base_ms) == (attempts, base_ms)
    assert (policy.retry.factor, policy.retry.max_ms, policy.retry.jitter) == (2, 300_000, 0.25)
    assert (policy.max_stalls, policy.stall_after_ms) == (1, 10_000)
    assert (policy.retention.completed_count, policy.retention.failed_count) == (100, 50)
    assert policy.retention.dead_age_ms == 30 * 24 * 3_600_000
    assert policy.dead_letter_name == f"{queue}-dlq"


def test_a_queue_nobody_declared_has_the_standard_retry_and_no_limit() -> None:
    policy = Settings().policy("my.own-queue")
    assert policy == QueuePolicy(name="my.own-queue")
    assert (policy.global_concurrency, policy.max_depth, policy.max_wait_ms) == (None, None, None)
    assert (policy.retry.attempts, policy.retry.base_ms) == (5, 5_000)


def test_development_halves_concurrency_and_tries_at_most_three_times() -> None:
    settings = load_settings("development")
    assert settings.policy("integration-tasks").global_concurrency == 5
    assert settings.policy("integration-tasks").retry.attempts == 3
    assert settings.policy("integration-tasks").retry.base_ms == 10_000


def test_a_higher_class_is_a_higher_number() -> None:
    settings = Settings()
    queues = ("analytics-events", "notifications", "ingress-events")
    assert [settings.policy(queue).priority_class for queue in queues] == [0, 1, 2]


def test_one_option_of_one_queue_can_be_overridden(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("CALLBOARD_QUEUES__INGRESS_EVENTS__GLOBAL_CONCURRENCY", "12")
    clean_environment.setenv("CALLBOARD_QUEUES__INGRESS_EVENTS__RETRY__BASE", "1s")
    policy = Settings().policy("ingress-events")
    assert (policy.global_concurrency, policy.retry.base_ms) == (12, 1_000)
    assert (policy.memory_limit_mb, policy.retry.attempts) == (256, 5)


def test_an_override_wins_over_the_profile(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("CALLBOARD_PROFILE", "development")
    clean_environment.setenv("CALLBOARD_QUEUES__NOTIFICATIONS__RETRY__ATTEMPTS", "9")
    assert Settings().policy("notifications").retry.attempts == 9


def test_a_limit_is_lifted_by_none(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("CALLBOARD_QUEUES__NOTIFICATIONS__GLOBAL_CONCURRENCY", "none")
    assert Settings().policy("notifications").global_concurrency is None


def test_a_queue_of_ones_own_is_found_by_its_own_spelling(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    clean_environment.setenv("CALLBOARD_QUEUES__MY_QUEUE__MAX_DEPTH", "10")
    policy = Settings().policy("my-queue")
    assert (policy.name, policy.max_depth) == ("my-queue", 10)


def test_arguments_win_over_the_environment(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("CALLBOARD_RETENTION", "2h")
    clean_environment.setenv("CALLBOARD_QUEUES__MY_QUEUE__MAX_DEPTH", "10")
    clean_environment.setenv("CALLBOARD_QUEUES__MY_QUEUE__MAX_STALLS", "0")
    settings = Settings(retention="3h", queues={"my-queue": {"max_depth": 20}})
    assert settings.retention_ms == 3 * 3_600_000
    assert settings.policy("my-queue").max_depth == 20
    assert settings.policy("my-queue").max_stalls == 0


@pytest.mark.parametrize("name", ["CALLBOARD_RETENTION", "CALLBOARD_RETENTION_MS"])
@pytest.mark.parametrize(
    ("text", "expected"), [("7d", 604_800_000), ("1h30m", 5_400_000), ("15", 15)]
)
def test_durations_are_written_as_people_write_them(
    clean_environment: pytest.MonkeyPatch, name: str, text: str, expected: int
) -> None:
    clean_environment.setenv(name, text)
    assert Settings().retention_ms == expected


@pytest.mark.parametrize("name", ["QUEUE_PREFIX", "REDIS_PREFIX", "CALLBOARD_NAMESPACE"])
def test_the_namespace_has_three_names(clean_environment: pytest.MonkeyPatch, name: str) -> None:
    clean_environment.setenv(name, "chatgenius")
    assert Settings().namespace == "chatgenius"


def test_our_own_name_wins_over_the_customary_ones(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("QUEUE_PREFIX", "other")
    clean_environment.setenv("CALLBOARD_NAMESPACE", "mine")
    assert Settings().namespace == "mine"


def test_two_customary_names_that_disagree_are_refused(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    clean_environment.setenv("QUEUE_PREFIX", "one")
    clean_environment.setenv("REDIS_PREFIX", "two")
    with pytest.raises(ConfigurationError, match=r"QUEUE_PREFIX='one'.*REDIS_PREFIX='two'"):
        Settings()


def test_the_address_is_composed_from_its_parts(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("REDIS_HOST", "cache.internal")
    clean_environment.setenv("REDIS_PORT", "6380")
    clean_environment.setenv("REDIS_DB", "2")
    clean_environment.setenv("REDIS_PASSWORD", "p@ss/word")
    settings = Settings()
    assert settings.redis_address() == "redis://:p%40ss%2Fword@cache.internal:6380/2"
    assert settings.shown_address() == "redis://cache.internal:6380/2"


def test_a_url_wins_over_the_parts(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("REDIS_HOST", "ignored")
    clean_environment.setenv("REDIS_URL", "rediss://db:1/0")
    assert Settings().redis_address() == "rediss://db:1/0"


def test_the_port_that_kubernetes_injects_is_not_a_port(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    clean_environment.setenv("REDIS_HOST", "redis")
    clean_environment.setenv("REDIS_PORT", "tcp://10.0.0.7:6379")
    assert Settings().redis_address() == "redis://redis:6379/0"


def test_production_without_an_address_is_a_named_error() -> None:
    settings = Settings()
    assert not settings.may_embed
    with pytest.raises(ConfigurationError, match=r"No Redis address.*Set REDIS_URL"):
        settings.redis_address()


def test_development_without_an_address_may_embed_a_server() -> None:
    settings = load_settings("development")
    assert settings.redis_address() is None
    assert settings.may_embed
    assert settings.shown_address() == "embedded server in .callboard"


def test_an_empty_variable_counts_as_unset(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("REDIS_URL", "")
    clean_environment.setenv("CALLBOARD_NAMESPACE", " ")
    assert Settings().namespace == "cb"


@pytest.mark.parametrize(
    "url", ["redis://user:hunter2@db:6379/0", "redis://db:6379/0?password=hunter2&timeout=1"]
)
def test_a_password_is_shown_nowhere(clean_environment: pytest.MonkeyPatch, url: str) -> None:
    clean_environment.setenv("REDIS_URL", url)
    clean_environment.setenv("REDIS_PASSWORD", "hunter2")
    settings = Settings()
    assert "hunter2" in (settings.redis_address() or "")
    assert "hunter2" not in f"{settings!r} {settings} {settings.shown_address()}"
    assert "hunter2" not in settings.model_dump_json()


def test_a_refused_url_is_not_repeated(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("REDIS_URL", "http://user:hunter2@db")
    with pytest.raises(ConfigurationError, match=r"REDIS_URL=\(hidden\) is refused") as caught:
        Settings()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CALLBOARD_NAMESPCE", "CALLBOARD_NAMESPACE"),
        ("CALLBOARD_TENANT__WEIGTH", "CALLBOARD_TENANT__WEIGHT"),
        (
            "CALLBOARD_QUEUES__NOTIFICATIONS__GLOBAL_CONCURENCY",
            "CALLBOARD_QUEUES__NOTIFICATIONS__GLOBAL_CONCURRENCY",
        ),
        (
            "CALLBOARD_QUEUES__NOTIFICATIONS__RETRY__ATEMPTS",
            "CALLBOARD_QUEUES__NOTIFICATIONS__RETRY__ATTEMPTS",
        ),
    ],
)
def test_an_unknown_variable_is_refused_with_a_suggestion(
    clean_environment: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    clean_environment.setenv(name, "5")
    with pytest.raises(ConfigurationError, match=rf"{name}.*Did you mean '{meant}'"):
        Settings()


@pytest.mark.parametrize(
    "name", ["CALLBOARD_QUEUES", "CALLBOARD_QUEUES__X", "CALLBOARD_TENANT", "CALLBOARD_"]
)
def test_a_variable_that_names_no_single_setting_is_refused(
    clean_environment: pytest.MonkeyPatch, name: str
) -> None:
    clean_environment.setenv(name, "5")
    with pytest.raises(ConfigurationError, match=f"Unknown variable {name}"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLBOARD_RETENTION", "soon"),
        ("CALLBOARD_MAX_PAYLOAD_BYTES", "many"),
        ("CALLBOARD_TRACING_SAMPLE_RATIO", "1.5"),
        ("CALLBOARD_NAMESPACE", "a{b}"),
        ("CALLBOARD_PROFILE", "staging"),
        ("CALLBOARD_TENANT__WEIGHT", "11"),
        ("CALLBOARD_QUEUES__NOTIFICATIONS__GLOBAL_CONCURRENCY", "0"),
        ("CALLBOARD_QUEUES__NOTIFICATIONS__RETRY__JITTER", "2"),
        ("REDIS_PORT", "70000"),
    ],
)
def test_a_refused_value_is_named_with_its_variable(
    clean_environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    clean_environment.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert str(caught.value).startswith(
        f"{name}='{value}' is refused: ".replace("'a{b}'", "'a{b}'")
    )
    assert caught.value.code == "configuration_error"


def test_an_unknown_argument_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'namespace'"):
        Settings(namspace="x")


def test_an_unknown_option_of_a_queue_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'max_depth'"):
        Settings(queues={"notifications": {"max_dept": 5}})


def test_settings_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings().namespace = "other"


def test_changed_settings_are_checked_again() -> None:
    settings = Settings(namespace="a", queues={"notifications": {"max_depth": 5}})
    changed = settings.with_values(namespace="b", wait_replicas=1)
    assert (changed.namespace, changed.wait_replicas) == ("b", 1)
    assert changed.policy("notifications") == settings.policy("notifications")
    with pytest.raises(ConfigurationError):
        settings.with_values(namespace="{")


def test_importing_reads_no_environment() -> None:
    code = "import os; os.environ['CALLBOARD_NONSENSE'] = '1'; import engine.config"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("value", ["2999ms", "1s", 0])
def test_a_silence_shorter_than_three_beats_is_refused_by_name(value: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"queues\.q\.stall_after_ms.*QUEUES__Q__STALL_AFTER"
    ):
        Settings(queues={"q": {"stall_after": value}})
    assert Settings(queues={"q": {"stall_after": "3s"}}).policy("q").stall_after_ms == 3_000


def test_a_wait_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_wait_ms"):
        Settings(queues={"q": {"max_wait": 0}})
