from __future__ import annotations

from typing import Any

import pytest

from engine import Idempotency
from engine.errors import OptionInvalid, PayloadInvalid
from engine.workflow.idempotency import content_key


def test_order_of_keys_and_white_space_do_not_matter() -> None:
    assert content_key(b'{"a":1,"b":[1,2]}') == content_key(b' {"b": [1, 2], "a": 1}')
    assert content_key(b'{"a":1}') != content_key(b'{"a":2}')
    assert len(content_key(b"null")) == 64


def test_only_the_critical_fields_count() -> None:
    fields = ["id", "user.name"]
    one = content_key(b'{"id":1,"user":{"name":"x"},"at":5}', fields)
    assert one == content_key(b'{"id":1,"user":{"name":"x","age":3}}', fields[::-1])
    assert one != content_key(b'{"id":1,"user":{"name":"y"}}', fields)


def test_an_absent_field_differs_from_null_and_none_at_all_is_refused() -> None:
    assert content_key(b'{"a":1}', ["a", "b"]) != content_key(b'{"a":1,"b":null}', ["a", "b"])
    for payload in (b"{}", b"[]", b"3"):
        with pytest.raises(PayloadInvalid, match="a: missing"):
            content_key(payload, ["a"])


def test_fields_of_several_inputs_go_by_parameter_or_number() -> None:
    by_name = content_key(b'[{"id":1},2]', ["event.id"], ["event", "other"])
    by_number = content_key(b'[{"id":1},2]', ["0.id"])
    assert by_name == by_number
    assert Idempotency(fields=["event.id"]).content_key(b'[{"id":1},9]', ["event"]) == by_name


def test_the_defaults_are_a_day_and_the_window_of_the_installation() -> None:
    policy = Idempotency()
    assert (policy.window_ms, policy.ttl_ms, policy.on_dead) == (None, 86_400_000, "error")
    assert policy.window_or(300_000) == 300_000


def test_a_window_that_is_named_wins_and_one_that_is_not_ends_with_the_ttl() -> None:
    assert Idempotency(window="1m").window_or(300_000) == 60_000
    assert Idempotency(ttl="1m").window_or(300_000) == 60_000


@pytest.mark.parametrize(
    "options",
    [
        {"on_dead": "ignore"},
        {"window": 0},
        {"window": "2d"},
        {"ttl": 0},
        {"fields": []},
        {"fields": "id"},
        {"fields": [""]},
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionInvalid):
        Idempotency(**options)
