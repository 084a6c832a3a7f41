"""What a server says of itself: version, persistence, memory, clock and how fast it answers.

The room only asks. What is good or bad about the answers is `engine.control.doctor`'s to say.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from engine.errors import ScriptRefused
from engine.store.connection import Link, Links
from engine.store.keys import Keys
from engine.store.store import pool_of

_PINGS = 20
_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")


class ServerFacts(NamedTuple):
    """One look at a server.

    Attributes:
        software: `Redis` or `Valkey`.
        info: The fields of INFO, as text.
        settings: Configuration; empty where the server forbids CONFIG.
        clock_ahead_ms: The server's clock less this host's; the round trip is taken out.
        ping_ms: Round trips of PING, sorted.
        schema: The layout found in the namespace; None where nothing was stored yet.
    """

    software: str
    version: str
    info: dict[str, str]
    settings: dict[str, str]
    clock_ahead_ms: int
    ping_ms: list[float]
    schema: str | None

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """Major and minor, to compare."""
        return tuple(int(part) for part in self.version.split(".")[:2] if part.isdigit())


class _UncheckedLinks(Links):
    """Links that also talk to a server which is unfit for work: somebody has to say why it is."""

    def check_once(self, link: Link) -> None:
        pass


def look_at(url: str, *, namespace: str, timeout_ms: int = 5_000) -> ServerFacts:
    """Asks a server about itself, fit for work or not; writes nothing.

    Raises:
        StoreUnreachable: It does not answer.
        StoreError: It answers, but with an error such as LOADING.
    """
    links = _UncheckedLinks(
        pool_of(url, timeout_ms=timeout_ms), Keys(namespace), patience_ms=timeout_ms
    )
    link = links.take()
    try:
        info = _fields(link.command("INFO"))
        schema = link.command("GET", links.keys.name("schema"))
        return ServerFacts(
            "Valkey" if "valkey_version" in info else "Redis",
            info.get("valkey_version") or info.get("redis_version", "0.0"),
            info,
            _settings(link),
            _clock_ahead_ms(link),
            sorted(_ping_ms(link) for _ in range(_PINGS)),
            schema.decode() if schema else None,
        )
    finally:
        link.close()
        links.close()


def _fields(reply: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in reply.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _settings(link: Link) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _SETTINGS:
        try:
            reply = link.command("CONFIG", "GET", name)
        except ScriptRefused:
            return {}
        pairs = (
            reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        )
        found.update({key.decode(): value.decode() for key, value in pairs.items()})
    return found


def _clock_ahead_ms(link: Link) -> int:
    asked_at = time.time()
    seconds, micros = link.command("TIME")
    middle = (asked_at + time.time()) / 2
    return round((int(seconds) + int(micros) / 1_000_000 - middle) * 1000)


def _ping_ms(link: Link) -> float:
    asked_at = time.perf_counter()
    link.command("PING")
    return (time.perf_counter() - asked_at) * 1000
