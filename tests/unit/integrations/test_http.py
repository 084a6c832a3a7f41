"""Outbound HTTP: bounded, and with errors that a retry policy can tell apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from engine import Retry
from engine.integrations import http as module
from engine.integrations.errors import (
    HttpAddressInvalid,
    HttpRefused,
    HttpRejected,
    HttpReplyInvalid,
    HttpReplyTooLarge,
    HttpUnavailable,
)
from engine.integrations.http import HttpClient, shown_address

URL = "https://somebody:hunter2@api.test:8443/v1/facts?token=hunter2"
SHOWN = "https://api.test:8443/v1/facts"


def client(answer: Callable[[httpx2.Request], httpx2.Response], **options: int) -> HttpClient:
    return HttpClient(transport=httpx2.MockTransport(answer), **options)


def answering(status: int, **reply: object) -> HttpClient:
    return client(lambda request: httpx2.Response(status, **reply))  # type: ignore[arg-type]


def test_a_call_keeps_the_query_of_its_address_and_asks_for_a_plain_body() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"stars": 1})

    reply = client(answer).request("POST", URL, query={"q": "a b"}, body={"n": 1})

    assert reply.json_object() == {"stars": 1}
    assert reply.address == SHOWN
    assert dict(seen[0].url.params) == {"token": "hunter2", "q": "a b"}
    assert seen[0].headers["accept-encoding"] == "identity"
    assert seen[0].content == b'{"n":1}'


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_worth_another_try(status: int) -> None:
    with pytest.raises(HttpUnavailable, match=f"{SHOWN} is not available: status {status}"):
        answering(status).request("GET", URL)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 422])
def test_an_answer_that_will_not_change_is_not(status: int) -> None:
    with pytest.raises(HttpRefused, match=f"answered {status}") as told:
        answering(status).request("GET", URL)
    assert not Retry(give_up_on=(HttpRejected,)).covers(told.value)
    assert Retry(give_up_on=(HttpRejected,)).covers(HttpUnavailable(SHOWN, "status 503"))


@pytest.mark.parametrize(
    "trouble", [httpx2.ConnectError, httpx2.ReadTimeout, httpx2.RemoteProtocolError]
)
def test_no_connection_and_no_answer_are_worth_another_try(
    trouble: type[httpx2.TransportError],
) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise trouble(f"could not reach {request.url}")

    with pytest.raises(HttpUnavailable, match=trouble.__name__) as told:
        client(fail).request("GET", URL)
    assert "hunter2" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


def test_a_large_answer_is_read_no_further_than_allowed() -> None:
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(1_000):
            read.append(number)
            yield b"x" * 100

    with pytest.raises(HttpReplyTooLarge, match="larger than 1,000 bytes"):
        client(
            lambda request: httpx2.Response(200, content=chunks()), max_reply_bytes=1_000
        ).request("GET", URL)
    assert len(read) == 11


def test_an_answer_that_drips_is_given_up_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def drops() -> Iterator[bytes]:
        while True:
            now[0] += 1.0
            yield b"."

    with pytest.raises(HttpUnavailable, match="no complete answer in 10000 ms"):
        client(lambda request: httpx2.Response(200, content=drops())).request("GET", URL)


def test_a_compressed_answer_is_not_unpacked() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-encoding": "gzip"}
        return httpx2.Response(200, headers=headers, content=iter([b"\x1f\x8b"]))

    with pytest.raises(HttpReplyInvalid, match="compressed"):
        client(answer).request("GET", URL)


@pytest.mark.parametrize(("body", "problem"), [(b"<html>", "no JSON"), (b"[1]", "JSON list")])
def test_an_answer_of_another_kind_is_named(body: bytes, problem: str) -> None:
    reply = answering(200, content=body).request("GET", URL)
    with pytest.raises(HttpReplyInvalid, match=problem):
        reply.json_object()


@pytest.mark.parametrize("url", ["", "facts.test/x", "ftp://facts.test/", "http://[::1"])
def test_an_address_that_cannot_be_called_is_named(url: str) -> None:
    with pytest.raises(HttpAddressInvalid, match="http://"):
        HttpClient().request("GET", url)


def test_what_is_shown_of_an_address_holds_no_credentials_and_no_query() -> None:
    assert shown_address(URL) == SHOWN
    assert shown_address("http://h:port/") == "(an address that cannot be read)"
