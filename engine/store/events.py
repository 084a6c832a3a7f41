"""The event stream: reading what happened, oldest first. Scripts alone append to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine.store.connection import Links


class EventRecord(NamedTuple):
    """A fact; `entry` is its place in the stream, `at_ms` the server's time.

    `facts` has the name under `event` and the fields as they were told.
    """

    entry: str
    at_ms: int
    facts: dict[str, str]


class Events:
    """The event stream of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def after(self, last: str = "0", *, at_most: int = 500) -> list[EventRecord]:
        """Facts of the entries behind `last`, at most so many entries."""
        found = self.links.command(
            "XRANGE", self.links.keys.name("events"), f"({last}", "+", "COUNT", at_most
        )
        return [record for entry in found for record in _records(*entry)]

    def await_after(self, last: str, timeout_ms: int, *, at_most: int = 500) -> list[EventRecord]:
        """Like `after`, but waits for a first fact, at most `timeout_ms` (1 to 3,000)."""
        name = self.links.keys.name("events")
        found = self.links.command(
            "XREAD", "COUNT", at_most, "BLOCK", timeout_ms, "STREAMS", name, last
        )
        return [record for entry in found[0][1] for record in _records(*entry)] if found else []

    def newest(self) -> str:
        """The place of the newest entry; `0` in an empty stream."""
        found = self.links.command(
            "XREVRANGE", self.links.keys.name("events"), "+", "-", "COUNT", 1
        )
        return str(found[0][0].decode()) if found else "0"

    def all(self) -> Iterator[EventRecord]:
        """Every fact that the stream still holds, oldest first."""
        last = "0"
        while found := self.after(last):
            yield from found
            last = found[-1].entry

    def length(self) -> int:
        """Entries in the stream; each holds up to eight facts."""
        return int(self.links.command("XLEN", self.links.keys.name("events")))


def _records(identity: bytes, fields: list[bytes]) -> Iterator[EventRecord]:
    entry = identity.decode()
    at_ms = int(entry.partition("-")[0])
    for line in fields[1].decode().split("\n"):
        name, *pairs = line.split(" ")
        facts = dict(pair.split("=", 1) for pair in pairs)
        yield EventRecord(entry, at_ms, {"event": name, **facts})
