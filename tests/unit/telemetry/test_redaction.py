"""No secret and no payload is written, and nothing without a bound."""

from __future__ import annotations

import time

import pytest

from engine.telemetry.redaction import is_secret, redact, redact_mapping, redact_text


@pytest.mark.parametrize(
    "key",
    [
        "password", "DB_PASSWORD", "token", "access_token", "accessToken", "githubToken",
        "secret", "client-secret", "Authorization", "api_key", "X-Api-Key", "apiKey", "apikey",
        "cookie", "Set-Cookie", "privateKey", "credentials",
    ],
)  # fmt: skip
def test_a_secret_key_is_known_in_every_spelling(key: str) -> None:
    assert is_secret(key)
    assert redact_mapping({key: "s3cr3t"}) == {key: "***"}


@pytest.mark.parametrize("key", ["tokenizer", "author", "keyboard", "stage", "passenger", "key"])
def test_an_innocent_key_is_left_alone(key: str) -> None:
    assert redact_mapping({key: "plain"}) == {key: "plain"}


def test_payloads_are_dropped_at_any_depth() -> None:
    given = {"a": [{"args": (1,), "kwargs": {}, "payload": b"x", "kept": 1}], "Payload": "y"}
    assert redact(given) == {"a": [{"kept": 1}]}


@pytest.mark.parametrize(
    "text",
    [
        "redis://user:s3cr3t@db:6379/0 is down",
        "redis://:s3c@r3t-s3cr3t@db:6379",
        "GET / Authorization: Bearer s3cr3ts3cr3t",
        "password=s3cr3t&x=1",
        '{"api_key": "s3cr3t"}',
        "token='s3cr3t, with more s3cr3t'",
        "github_token=s3cr3t",
    ],
)
def test_secrets_inside_a_text_are_masked(text: str) -> None:
    assert "s3cr3t" not in redact_text(text)
    assert "***" in redact_text(text)


def test_a_url_without_credentials_is_untouched() -> None:
    assert redact_text("https://example.com/a?b=c") == "https://example.com/a?b=c"
    assert redact_text("see https://example.com/@acme") == "see https://example.com/@acme"


def test_a_secret_across_the_cut_does_not_leak() -> None:
    text = "x" * 1_985 + "redis://u:s3cr3t-s3cr3t@db"
    assert "s3c" not in redact_text(text)


def test_everything_is_bounded() -> None:
    assert len(redact_text("x" * 10_000_000)) < 2_020
    assert len(redact(list(range(10_000)))) == 50  # type: ignore[arg-type]
    nested: object = "deep"
    for _ in range(50):
        nested = {"n": nested}
    assert str(redact(nested)).count("{") <= 7
    assert redact(b"abc") == "<3 bytes>"


@pytest.mark.parametrize("text", ["://" * 4_000, "a_" * 6_000, "token" * 3_000, 'password="' * 900])
def test_hostile_text_takes_no_time(text: str) -> None:
    began_s = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - began_s < 0.5


def test_a_value_that_can_not_be_shown_is_named_by_type() -> None:
    class Sick:
        def __str__(self) -> str:
            raise RuntimeError

    assert redact(Sick()) == "<Sick>"
