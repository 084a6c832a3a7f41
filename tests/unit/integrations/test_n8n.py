"""What `n8n(...)` declares, and the POST it makes, without a network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from engine import Context, Pipeline, current
from engine.errors import CallbackForged, DuplicateName, OptionInvalid
from engine.integrations.errors import HttpHostNotAllowed, HttpRejected, HttpUnavailable
from engine.integrations.http import HttpClient, permitted
from engine.integrations.n8n import Delegation, n8n
from engine.workflow import registry
from engine.workflow.nodes import StageNode, WaitNode

WEBHOOK = "https://n8n.test/webhook/enrich"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(current, "_place", current._Place())
    current.set(SimpleNamespace(settings=SimpleNamespace(outbound_hosts=None), bind=print))  # type: ignore[arg-type]
    with registry.isolated() as definitions:
        yield definitions


def posting(reply: httpx2.Response, auth: Any = None) -> tuple[Delegation, list[httpx2.Request]]:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return reply

    http = HttpClient(transport=httpx2.MockTransport(answer), max_reply_bytes=1_000)
    return Delegation(WEBHOOK, "enrich", auth or {}, http), seen


def test_it_is_a_stage_and_a_wait() -> None:
    stage, wait, *_ = Pipeline("lead", n8n(WEBHOOK, timeout="2h")).plan().nodes
    assert isinstance(stage, StageNode)
    assert (stage.stage, stage.queue, stage.priority) == ("n8n.enrich", "integration-tasks", 7)
    assert isinstance(wait, WaitNode)
    assert (wait.name, wait.timeout_ms) == ("n8n", 7_200_000)


def test_one_address_is_one_stage_and_another_needs_a_name() -> None:
    Pipeline("twice", n8n(WEBHOOK) | n8n(WEBHOOK))
    with pytest.raises(DuplicateName):
        n8n("https://other.test/webhook/enrich")
    with pytest.raises(DuplicateName):
        n8n(WEBHOOK, queue="other")
    n8n("https://other.test/webhook/enrich", name="enrich-elsewhere")


@pytest.mark.parametrize("webhook", ["", "enrich", "ftp://n8n.test/x", "file:///etc/passwd", None])
def test_what_is_no_address_is_refused_where_it_is_written(webhook: Any) -> None:
    with pytest.raises(OptionInvalid, match="http://"):
        n8n(webhook)


def test_a_name_is_read_from_the_address_whatever_stands_there(alone: registry.Registry) -> None:
    for path in ("webhook/a%20b", "webhook/ü/", "", "webhook/" + "x" * 300):
        n8n(f"https://n8n.test/{path}")
    assert sorted(alone.stages)[:3] == ["n8n.-", "n8n.a-20b", "n8n.webhook"]


def test_an_answer_that_is_too_large_or_no_json_is_an_answer() -> None:
    for reply in (httpx2.Response(200, content=b"x" * 5_000), httpx2.Response(204)):
        delegation, seen = posting(reply)
        assert delegation.post({"a": 1}, Context("r"))["status"] == "delegated"
        assert len(seen) == 1


def test_the_headers_that_authenticate_may_be_made_for_each_post() -> None:
    made = iter(["one", "two"])
    delegation, seen = posting(httpx2.Response(200), lambda: {"X-Key": next(made)})
    delegation.post(1, Context("r"))
    delegation.post(1, Context("r"))
    assert [request.headers["x-key"] for request in seen] == ["one", "two"]


@pytest.mark.parametrize(
    ("url", "hosts", "allowed"),
    [
        ("https://n8n.test/x", None, True),
        ("https://n8n.test/x", "n8n.test", True),
        ("https://N8N.test:8443/x", "other.test, n8n.test", True),
        ("https://a.n8n.test/x", "*.n8n.test", True),
        ("https://n8n.test/x", "*.n8n.test", False),
        ("https://evil-n8n.test/x", "*.n8n.test,n8n.test", False),
        ("https://n8n.test@evil.test/x", "n8n.test", False),
        ("https://n8n.test.evil.test/x", "n8n.test", False),
        ("http://169.254.169.254/latest", "n8n.test", False),
        ("https://[::1]/x", "n8n.test", False),
        ("https:///x", "n8n.test,", False),
        ("https://n8n.test/x", "", False),
    ],
)
def test_only_hosts_that_are_listed_may_be_called(
    url: str, hosts: str | None, allowed: bool
) -> None:
    if allowed:
        permitted(url, hosts)
    else:
        with pytest.raises(HttpHostNotAllowed) as told:
            permitted(url, hosts)
        assert isinstance(told.value, HttpRejected)


@pytest.mark.parametrize(
    ("header", "asked_ms"),
    [("3", 3_000), ("0", 0), ("", None), ("soon", None), ("-1", None)],
)
def test_a_server_may_say_when_to_ask_again(header: str, asked_ms: int | None) -> None:
    delegation, _ = posting(httpx2.Response(503, headers={"Retry-After": header}))
    with pytest.raises(HttpUnavailable) as told:
        delegation.post(1, Context("r"))
    assert told.value.retry_after_ms == asked_ms


def test_a_server_may_say_it_with_a_date() -> None:
    reply = httpx2.Response(429, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
    with pytest.raises(HttpUnavailable) as told:
        posting(reply)[0].post(1, Context("r"))
    assert told.value.retry_after_ms == 0


def test_the_error_of_a_forged_token_shows_none() -> None:
    assert "token" in str(CallbackForged())
