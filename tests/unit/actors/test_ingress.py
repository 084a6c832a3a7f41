"""A delivery of any shape becomes an activity."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.deliveries import TEXT_CHARS, Activity, Delivery
from actors.ingress import normalise

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    [
        "action",
        "repository",
        "sender",
        "organization",
        "installation",
        "issue",
        "head_commit",
        "ref",
    ]
)


def activity_of(event: str, **payload: Any) -> Activity:
    return normalise(Delivery(id="d-1", event=event, payload=payload))


def test_what_a_payload_says_is_taken_over() -> None:
    activity = activity_of(
        "issue_comment",
        action="created",
        issue={
            "number": 7,
            "title": "It is\nbroken",
            "html_url": "https://github.com/a/b/issues/7",
        },
        repository={"full_name": "a/b", "html_url": "https://github.com/a/b"},
        sender={"login": "octocat"},
    )

    assert activity == Activity(
        delivery="d-1",
        event="issue_comment",
        action="created",
        repository="a/b",
        actor="octocat",
        subject="#7 It is broken",
        url="https://github.com/a/b/issues/7",
    )


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"repository": None, "sender": None, "action": None},
        {"repository": "a/b", "sender": [], "push": 3},
        {"repository": {"full_name": {}}, "sender": {"login": True}},
    ],
)
def test_what_a_payload_leaves_out_is_left_out(payload: dict[str, Any]) -> None:
    assert activity_of("push", **payload) == Activity(delivery="d-1", event="push")


def test_text_is_cut_and_cannot_steer_a_terminal() -> None:
    activity = activity_of("issues", issue={"title": "\x1b[31m" + "x" * 1_000})

    assert activity.subject is not None
    assert len(activity.subject) == TEXT_CHARS
    assert activity.subject.isprintable()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "http://x", "https://a b", "https://" + "x" * 600]
)
def test_an_address_that_is_none_is_left_out(url: str) -> None:
    assert activity_of("issues", issue={"html_url": url}).url is None


@given(st.dictionaries(known_keys | st.text(), json_values, max_size=6))
def test_no_shape_of_payload_fails(payload: dict[str, Any]) -> None:
    for event in ("push", "issues", "status", "of_the_future"):
        activity = activity_of(event, **payload)
        for text in (activity.subject, activity.actor, activity.action, activity.repository):
            assert text is None or (text.isprintable() and len(text) <= TEXT_CHARS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "", "event": "push", "payload": {}},
        {"id": "with space", "event": "push", "payload": {}},
        {"id": "1", "event": "", "payload": {}},
        {"id": "1", "event": "Push!", "payload": {}},
        {"id": "1", "event": "push", "payload": None},
        {"id": "1", "event": "push", "payload": []},
    ],
)
def test_what_is_no_delivery_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Delivery.model_validate(wrong)
