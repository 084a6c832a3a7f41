"""The stages behind the ingress, called as the plain functions they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors import integration, orchestration
from actors.deliveries import Activity, Notice
from actors.integration import MAX_FACTS, enrich
from actors.notification import notify, render
from engine import Context
from engine.errors import ConfigurationError
from engine.integrations.errors import HttpRejected, HttpReplyInvalid, HttpUnavailable
from engine.integrations.http import Reply
from engine.integrations.notify import Receipt

ACTIVITY = Activity(
    delivery="d-1", event="pull_request", action="opened", repository="a/b", actor="octocat",
    subject="#7 It works", url="https://github.com/a/b/pull/7",
)  # fmt: skip
NOTICE = Notice(
    activity=ACTIVITY, family="code", headline="pull request opened in a/b: #7 It works"
)


class FakeHttp:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[Any] = []

    def request(self, method: str, url: str, *, query: Any = None, **_: Any) -> Reply:
        self.asked.append((method, url, query))
        return Reply(url, 200, self.body)


@pytest.mark.parametrize(
    ("event", "family"),
    [
        ("push", "code"),
        ("issues", "conversation"),
        ("security_advisory", "security"),
        ("marketplace_purchase", "other"),
        ("of_the_future", "other"),
    ],
)
def test_an_activity_goes_the_way_of_its_family(event: str, family: str) -> None:
    assert orchestration.family_of(Activity(delivery="d", event=event)) == family


def test_each_way_has_a_headline_of_its_own() -> None:
    assert orchestration.brief_developers(ACTIVITY) == NOTICE
    assert orchestration.brief_participants(ACTIVITY).headline.startswith("octocat: ")
    warning = orchestration.brief_guards(ACTIVITY)
    assert (warning.urgent, warning.headline[:10]) == (True, "Security: ")
    bare = orchestration.brief_owners(Activity(delivery="d", event="org_block"))
    assert bare.headline == "org block received"


def test_without_an_endpoint_nothing_is_asked_and_the_notice_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GITHUB_ENRICH_URL", raising=False)
    assert enrich(NOTICE).note == "not enriched: GITHUB_ENRICH_URL is not set"


def test_an_endpoint_adds_plain_facts_and_no_more_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = ",".join(f'"f{n}":{n}' for n in range(50))
    http = FakeHttp(b'{"deep":{"x":1},"name":"line\\none",' + many.encode() + b"}")
    monkeypatch.setattr(integration, "http", http)
    monkeypatch.setenv("GITHUB_ENRICH_URL", "http://facts.test/")

    facts = enrich(NOTICE).facts

    asked = {"event": "pull_request", "repository": "a/b", "actor": "octocat"}
    assert http.asked == [("GET", "http://facts.test/", asked)]
    assert len(facts) == MAX_FACTS
    assert facts["name"] == "line one"
    assert "deep" not in facts


def test_enrichment_gives_up_on_an_answer_that_will_not_change() -> None:
    policy = enrich.retry
    assert policy is not None
    assert policy.attempts == 7
    assert not policy.covers(HttpReplyInvalid("http://x", "it is no JSON"))
    assert issubclass(HttpReplyInvalid, HttpRejected)
    assert policy.covers(HttpUnavailable("http://x", "status 503", 503))


def test_a_notice_is_rendered_as_text() -> None:
    urgent = NOTICE.model_copy(update={"urgent": True, "facts": {"stars": "42"}})

    message = render(urgent, "run-1")

    assert message.subject == "URGENT pull request opened in a/b: #7 It works"
    assert message.body.splitlines() == [
        "by octocat",
        "https://github.com/a/b/pull/7",
        "stars: 42",
        "delivery d-1",
    ]
    assert message.key == "run-1/d-1"


def test_a_notice_goes_to_those_of_the_tenant_who_care(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_CHANNEL", f"file:{tmp_path / 'n.jsonl'}")
    receipt = notify(NOTICE, Context("run-1", "acme"))
    assert receipt == Receipt("file", "acme/code", "run-1/d-1")


def test_a_channel_that_does_not_exist_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_CHANNEL", "konsole")
    with pytest.raises(ConfigurationError, match="Did you mean 'console'") as told:
        notify(NOTICE, Context("run-1"))
    assert notify.retry is not None
    assert not notify.retry.covers(told.value)


def test_the_run_ends_with_where_it_went_and_what_it_cost() -> None:
    closing = orchestration.conclude(Receipt("file", "acme/code", "run-1/d-1"), {"deliveries": 1})
    assert closing.model_dump() == {
        "delivery": "d-1",
        "channel": "file",
        "recipient": "acme/code",
        "counted": {"deliveries": 1},
    }
