"""Calls over HTTP: bounded in time and size, with errors that a retry policy can tell apart.

Owns: the only use of the HTTP library. Must not: follow redirects, retry (that is the stage's
policy), or write credentials, query strings or bodies into an error or a log.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import httpx2

from engine.clock import Duration, duration_ms
from engine.integrations.errors import (
    HttpAddressInvalid,
    HttpHostNotAllowed,
    HttpRefused,
    HttpReplyInvalid,
    HttpReplyTooLarge,
    HttpUnavailable,
)

_FOR_NOW = (408, 425, 429)
_USER_AGENT = "callboard"


class Reply(NamedTuple):
    """An answer with a 2xx status; `address` is fit for a log."""

    address: str
    status: int
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; raises HttpReplyInvalid."""
        try:
            value = json.loads(self.body)
        except ValueError:
            raise HttpReplyInvalid(self.address, "it is no JSON") from None
        if not isinstance(value, dict):
            raise HttpReplyInvalid(self.address, f"it is a JSON {type(value).__name__}, no object")
        return cast("dict[str, Any]", value)


class Http(Protocol):
    """What a stage calls out through; a test puts its own in this place."""

    def request(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Makes one call; see `HttpClient.request`."""
        ...


class HttpClient:
    """Connections to the world outside, kept open between calls and made anew after a fork.

    Args:
        timeout: Longest time from the call to the end of the answer.
        max_reply_bytes: Largest body that is read.
        transport: Stands in for the network, in tests.
    """

    def __init__(
        self,
        *,
        timeout: Duration = "10s",
        max_reply_bytes: int = 1_000_000,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.timeout_ms = duration_ms(timeout, name="timeout")
        self.max_reply_bytes = max_reply_bytes
        self._transport = transport
        self._client: httpx2.Client | None = None
        self._pid = 0

    def request(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Makes one call and reads its answer.

        Args:
            method: `GET`, `POST` and so on.
            url: Where to; a query in it is kept.
            query: Further fields of the query.
            body: Sent as JSON; None sends none.
            headers: Of this call alone.

        Raises:
            HttpUnavailable: No connection, no complete answer in time, or one of 408, 425, 429 and
                5xx, with its Retry-After. The server may have acted.
            HttpRefused: Any other status but 2xx.
            HttpAddressInvalid: Nothing was sent.
            HttpReplyTooLarge, HttpReplyInvalid: The server has acted, its answer cannot be used.
        """
        address = shown_address(url)
        ends_at = time.monotonic() + self.timeout_ms / 1000
        try:
            target = httpx2.URL(url).copy_merge_params(dict(query or {}))
            # The body is read as it comes: unpacking could make a megabyte a gigabyte.
            sent = {"User-Agent": _USER_AGENT, **(headers or {}), "Accept-Encoding": "identity"}
            with self._connected().stream(method, target, json=body, headers=sent) as response:
                _judge(address, response)
                return Reply(address, response.status_code, self._read(address, response, ends_at))
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise HttpAddressInvalid(address) from None
        except httpx2.HTTPError as error:
            # Its text may hold the whole address.
            raise HttpUnavailable(address, type(error).__name__) from None

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def _read(self, address: str, response: httpx2.Response, ends_at: float) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise HttpReplyInvalid(address, "it is compressed though that was declined")
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self.max_reply_bytes:
                raise HttpReplyTooLarge(address, self.max_reply_bytes)
            if time.monotonic() > ends_at:
                raise HttpUnavailable(address, f"no complete answer in {self.timeout_ms} ms")
        return bytes(body)

    def _connected(self) -> httpx2.Client:
        if self._client is None or self._pid != os.getpid():
            # The library logs every address with its query at INFO.
            logging.getLogger("httpx2").setLevel(logging.WARNING)
            # Two threads may both get here at first; one client is then dropped unused.
            self._pid = os.getpid()
            self._client = httpx2.Client(
                timeout=self.timeout_ms / 1000, transport=self._transport, follow_redirects=False
            )
        return self._client


def shown_address(url: str) -> str:
    """Scheme, host, port and path of an address: what may stand in an error or a log."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"[:300]
    except ValueError:
        return "(an address that cannot be read)"


def permitted(url: str, hosts: str | None) -> None:
    """Raises HttpHostNotAllowed unless the host of a URL is listed; None allows every host.

    Args:
        url: Where to.
        hosts: Names with commas between them; `*.example.com` is any host below example.com.
    """
    if hosts is None:
        return
    try:
        host = httpx2.URL(url).host.lower().rstrip(".")  # as the call itself will read it
    except httpx2.InvalidURL:
        host = ""
    for allowed in (name.strip().lower() for name in hosts.split(",")):
        if host and (host == allowed or (allowed[:2] == "*." and host.endswith(allowed[1:]))):
            return
    raise HttpHostNotAllowed(shown_address(url))


def _judge(address: str, response: httpx2.Response) -> None:
    status = response.status_code
    if status in _FOR_NOW or status >= 500:
        asked_ms = _retry_after_ms(response.headers.get("retry-after", ""))
        raise HttpUnavailable(address, f"status {status}", status, asked_ms)
    if not 200 <= status < 300:
        raise HttpRefused(address, status)


def _retry_after_ms(text: str) -> int | None:
    """What a Retry-After header asks for: seconds, or a date; None for neither."""
    if text.strip().isdecimal():
        return int(text.strip()[:9]) * 1000
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(int((at.timestamp() - time.time()) * 1000), 0)
