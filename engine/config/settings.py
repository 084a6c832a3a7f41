"""The settings of an engine.

Owns: every setting with its default, and the address of the store. Must not: read the environment
at import, connect to anything, or keep state: settings are frozen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from engine.config.backbone import Profile, canonical, merge_queues
from engine.config.environment import EnvironmentSource
from engine.config.policies import Milliseconds, QueuePolicy, TenantLimits, field_name
from engine.config.refusals import explain
from engine.errors import ConfigurationError

_URL_SCHEMES = ("redis", "rediss", "unix")


class Settings(BaseSettings):
    """Everything an engine can be told. Reads the environment when it is made, never before.

    Keyword arguments win over the environment, and the environment over the defaults.

    Raises:
        ConfigurationError: A value does not fit, or a CALLBOARD_ variable is unknown. The message
            names the variable, the value (never a secret) and the remedy.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    profile: Profile = Profile.PRODUCTION
    namespace: str = Field(default="cb", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")

    redis_url: SecretStr | None = None
    redis_host: str | None = None
    redis_port: int = Field(default=6379, ge=1, le=65_535)
    redis_db: NonNegativeInt = 0
    redis_password: SecretStr | None = None
    redis_timeout_ms: Milliseconds = Field(default=5_000, ge=1)
    wait_replicas: NonNegativeInt = 0
    data_dir: Path = Path(".callboard")
    embedded_appendfsync: Literal["always", "everysec"] = "everysec"

    queues: dict[str, QueuePolicy] = Field(default_factory=dict)
    tenant: TenantLimits = TenantLimits()

    max_payload_bytes: PositiveInt = 200_000
    retention_ms: Milliseconds = 86_400_000
    dead_retention_ms: Milliseconds = 30 * 86_400_000
    idempotency_ttl_ms: Milliseconds = 86_400_000
    idempotency_window_ms: Milliseconds = Field(default=300_000, ge=1)
    event_stream_length: PositiveInt = 100_000
    unknown_stage_grace_ms: Milliseconds = 60_000

    callback_base_url: str | None = None
    callback_secret: SecretStr | None = Field(default=None, min_length=32)
    outbound_hosts: str | None = None

    tracing_sample_ratio: float = Field(default=1.0, ge=0, le=1)
    otlp_endpoint: str | None = Field(default=None, repr=False)
    traces_file: Path | None = None
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    log_format: Literal["console", "json"] | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            # `from None`: the chain would print the input, and the input may hold a password.
            raise explain(error, type(self), values) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments first, then our own reading of the environment; no files."""
        return init_settings, EnvironmentSource(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        values = {field_name(cls, str(key)) or key: value for key, value in data.items()}
        profile = values.get("profile", Profile.PRODUCTION)
        values["queues"] = merge_queues(profile, values.get("queues") or {})
        return values

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url and urlsplit(url.get_secret_value()).scheme not in _URL_SCHEMES:
            raise ValueError("write redis://, rediss:// or unix:// and the address")
        return url

    @field_validator("callback_base_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("write http:// or https:// and the address")
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, level: Any) -> Any:
        return level.lower() if isinstance(level, str) else level

    def policy(self, queue: str) -> QueuePolicy:
        """Give the policy of a queue; a queue that nobody declared has no limit of its own."""
        found = self.queues.get(canonical(queue))
        return found.model_copy(update={"name": queue}) if found else QueuePolicy(name=queue)

    @property
    def may_embed(self) -> bool:
        """True where no address is given and the profile lets us start a server of our own."""
        return self._address() is None and self.profile is Profile.DEVELOPMENT

    def redis_address(self) -> str | None:
        """Give the URL of the Redis to use, password included: for connecting, never for a log.

        Returns:
            None in the development profile without an address: the embedded server is meant.

        Raises:
            ConfigurationError: The profile is production and no address is given.
        """
        address = self._address()
        if address is None and self.profile is Profile.PRODUCTION:
            raise ConfigurationError(
                "No Redis address: REDIS_URL and REDIS_HOST are unset and the profile is "
                "'production'. Set REDIS_URL=redis://host:6379/0, or CALLBOARD_PROFILE=development "
                "to use the embedded server."
            )
        return address

    def shown_address(self) -> str:
        """Give the address fit for logs and screens: without user name, password or token."""
        address = self._address()
        return _without_secrets(address) if address else f"embedded server in {self.data_dir}"

    @property
    def shown_log_format(self) -> Literal["console", "json"]:
        """The log format: as set, else console for development and JSON for production."""
        if self.log_format:
            return self.log_format
        return "console" if self.profile is Profile.DEVELOPMENT else "json"

    def _address(self) -> str | None:
        if self.redis_url:
            return self.redis_url.get_secret_value()
        if not self.redis_host:
            return None
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        credentials = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{credentials}{host}:{self.redis_port}/{self.redis_db}"

    def with_values(self, **values: Any) -> Self:
        """Give settings that differ in some values; all are checked anew."""
        try:
            return self.model_validate({**dict(self), **values})
        except ValidationError as error:
            raise explain(error, type(self), values) from None


def load_settings(profile: Profile | str | None = None, **values: Any) -> Settings:
    """Read the environment once and give the settings.

    Args:
        profile: Overrides CALLBOARD_PROFILE.
        values: Further settings that override the environment.

    Raises:
        ConfigurationError: See `Settings`.
    """
    if profile is not None:
        values["profile"] = profile
    return Settings(**values)


def _without_secrets(address: str) -> str:
    parts = urlsplit(address)
    query = [(k, v) for k, v in parse_qsl(parts.query) if k not in ("password", "username")]
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=place, query=urlencode(query)))
