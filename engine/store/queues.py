"""Queues, limits and consumers as the store counts them, and the switches that people turn."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from engine.store.connection import Links
from engine.store.entries import pack, unpack

_FREED_A_CALL = 500  # as in limit.lua


class QueueCount(NamedTuple):
    """What a queue holds now."""

    queue: str
    waiting: int
    delayed: int
    leased: int
    dead: int
    paused: bool
    limit: int | None


class Limits(NamedTuple):
    """What one tenant may use; None sets no limit. `weight` is its share against other tenants."""

    max_concurrent: int | None = None
    max_per_minute: int | None = None
    weight: int = 1
    paused: bool = False


class ConsumerRecord(NamedTuple):
    """A live worker process."""

    consumer: str
    host: str
    pid: int
    version: str
    queues: list[str]
    beat_at_ms: int
    leases: int


class Queues:
    """The queues of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def names(self) -> list[str]:
        """Names of all queues, sorted."""
        return sorted(
            name.decode() for name in self.links.command("SMEMBERS", self.links.keys.name("queues"))
        )

    def count(self, queue: str) -> QueueCount:
        """What one queue holds now."""
        return self.count_many([queue])[0]

    def count_many(self, queues: list[str]) -> list[QueueCount]:
        """What several queues hold now, in one write."""
        fields = ("waiting", "delayed", "leased", "dead", "paused", "limit")
        replies = self.links.commands(
            [("HMGET", self.links.keys.name("queue", queue=queue), *fields) for queue in queues]
        )
        return [
            QueueCount(
                queue,
                waiting=int(waiting or 0),
                delayed=int(delayed or 0),
                leased=int(leased or 0),
                dead=int(dead or 0),
                paused=paused is not None,
                limit=int(limit) if limit else None,
            )
            for queue, (waiting, delayed, leased, dead, paused, limit) in zip(
                queues, replies, strict=True
            )
        ]

    def pause(self, queue: str) -> bool | None:
        """Stops handing out; False if it was paused already, None for an unknown queue."""
        return _changed(self.links.call("pause", [queue, 1]))

    def resume(self, queue: str) -> bool | None:
        """Hands out again; False if it was not paused, None for an unknown queue."""
        return _changed(self.links.call("pause", [queue, 0]))

    def flush(self, queue: str) -> int:
        """Drops the waiting and delayed plain messages of a queue; returns how many."""
        cursor: bytes = b"0"
        dropped = 0
        while True:
            cursor, number = self.links.call("flush", [queue, cursor, 200])
            dropped += int(number)
            if cursor == b"0":
                return dropped

    def oldest_ms(self, queue: str, now_ms: int) -> int:
        """Age of the oldest message at the head of the next tenant's line; 0 when nothing waits."""
        keys = self.links.keys
        tenants = self.links.command("ZRANGE", keys.name("ring", queue=queue), 0, 0)
        if not tenants:
            return 0
        head = self.links.command(
            "ZRANGE", keys.name("waiting", queue=queue, tenant=tenants[0].decode()), 0, 0, "REV"
        )
        record = head and self.links.command("HGET", keys.name("messages"), head[0])
        return max(now_ms - int(record.split(b" ", 6)[5]), 0) if record else 0

    def limit(self, tenant: str, limits: Limits | None) -> None:
        """Sets a tenant's limits (`*`: of all that have none of their own); None clears them."""
        body = (
            b"" if limits is None else pack([False if value is None else value for value in limits])
        )
        held_back = self.links.call("limit", [tenant, body])
        # Bounded by what the first call found: a fetch may set tenants aside anew meanwhile.
        for _ in range(0, held_back, _FREED_A_CALL):
            self.links.call("limit", [tenant, body])

    def limits(self) -> dict[str, Limits]:
        """The limits that were set, by tenant; `*` has those of all others."""
        found = self.links.command("HGETALL", self.links.keys.name("limits"))
        pairs = (
            found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        )
        return {tenant.decode(): _limits_of(body) for tenant, body in pairs}

    def runnable(self, queue: str, *, at_most: int = 1_000) -> dict[str, int]:
        """Messages that wait, by tenant whose turn may come now; the tenants next in turn first."""
        keys = self.links.keys
        names = [
            raw.decode()
            for raw in self.links.command("ZRANGE", keys.name("ring", queue=queue), 0, at_most - 1)
        ]
        counts = self.links.commands(
            [("ZCARD", keys.name("waiting", queue=queue, tenant=name)) for name in names]
        )
        return dict(zip(names, counts, strict=True))

    def leased(self) -> dict[str, int]:
        """Leases held now, by tenant; read from the leases themselves."""
        keys = self.links.keys
        held: Counter[str] = Counter()
        for consumer in self.links.command("ZRANGE", keys.name("consumers"), 0, -1):
            ids = self.links.command("HKEYS", keys.name("lease", consumer=consumer.decode()))
            records = self.links.command("HMGET", keys.name("messages"), *ids) if ids else []
            held.update(
                record.partition(b"\n")[0].split(b" ")[7].decode() for record in records if record
            )
        return dict(held)

    def consumers(self) -> list[ConsumerRecord]:
        """The live worker processes."""
        keys = self.links.keys
        found = self.links.command("ZRANGE", keys.name("consumers"), 0, -1)
        records = []
        for name in (raw.decode() for raw in found):
            host, pid, version, queues = self.links.command(
                "HMGET", keys.name("consumer", consumer=name), "host", "pid", "version", "queues"
            )
            beat = self.links.command("ZSCORE", keys.name("consumers"), name)
            held = self.links.command("HLEN", keys.name("lease", consumer=name))
            if pid and beat:
                records.append(
                    ConsumerRecord(
                        name,
                        host.decode(),
                        int(pid),
                        version.decode(),
                        queues.decode().split(","),
                        int(float(beat)),
                        held,
                    )
                )
        return records

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = self.links.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000


def _limits_of(body: bytes) -> Limits:
    concurrent, per_minute, weight, paused = unpack(body)
    return Limits(
        None if concurrent is False else concurrent,
        None if per_minute is False else per_minute,
        weight or 1,
        bool(paused),
    )


def _changed(reply: int) -> bool | None:
    return None if reply < 0 else bool(reply)
