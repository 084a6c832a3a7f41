"""An inventory of the store: where every message is, who holds it, and whether the counts agree.

It reads keys of the store directly: it is the test's second opinion, not the engine's.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.store.store import Store

_SILENCE_MS = 15_000


class Inventory:
    """What one namespace holds at a moment; take it again until it is quiet."""

    def __init__(self, store: Store) -> None:
        self._keys = store.links.keys
        self._command = store.links.command
        self._store = store
        self.take()

    def take(self) -> None:
        """Read everything anew (no snapshot: sound only when the system rests)."""
        self.messages = self._hash("messages")
        self.delayed = self._all("delayed")
        self.consumers = {name: float(at) for name, at in self._scored("consumers")}
        self.queues = self._store.queues.names()
        self.waiting: dict[str, list[str]] = {queue: [] for queue in self.queues}
        self.suspects = {queue: self._all("suspects", queue=queue) for queue in self.queues}
        self.leases: dict[str, dict[str, str]] = {}
        self.stray: list[str] = []
        self.dead = {queue: self._all("dead", queue=queue) for queue in self.queues}
        self._scan()
        self.counts = (
            {count.queue: count for count in self._store.queues.count_many(self.queues)}
            if self.queues
            else {}
        )
        self.leased = self._store.queues.leased()
        self.now_ms = self._store.queues.now_ms()

    def faults(self) -> list[str]:
        """What is not as it must be; empty in a sound store."""
        return [*self._misplaced(), *self._holders(), *self._miscounted(), *self.stray]

    def __str__(self) -> str:
        held = {consumer: len(leases) for consumer, leases in self.leases.items()}
        waiting = {queue: len(ids) for queue, ids in self.waiting.items() if ids}
        suspects = {queue: len(ids) for queue, ids in self.suspects.items() if ids}
        return (
            f"messages {len(self.messages)}, waiting {waiting}, suspects {suspects}, "
            f"delayed {len(self.delayed)}, held {held}, faults {self.faults()[:5]}"
        )

    # -- rules

    def _misplaced(self) -> list[str]:
        places: Counter[str] = Counter(self.delayed)
        for group in (*self.waiting.values(), *self.suspects.values(), *self.leases.values()):
            places.update(list(group))
        faults = [f"{m} is in {n} places" for m, n in places.items() if n > 1]
        faults += [f"{m} is nowhere" for m in self.messages if m not in places]
        return faults + [f"{m} has no record" for m in places if m not in self.messages]

    def _holders(self) -> list[str]:
        faults = [
            f"leases of unknown {c}: {len(held)}"
            for c, held in self.leases.items()
            if c not in self.consumers
        ]
        for consumer, held in self.leases.items():
            silent_ms = self.now_ms - self.consumers.get(consumer, self.now_ms)
            if held and silent_ms > _SILENCE_MS:
                faults.append(f"{consumer} is silent for {silent_ms:.0f} ms and holds {len(held)}")
        return faults

    def _miscounted(self) -> list[str]:
        faults = []
        held = Counter(self._place(m) for leases in self.leases.values() for m in leases)
        late = Counter(self._place(m)[0] for m in self.delayed)
        for queue, count in self.counts.items():
            truth = (
                len(self.waiting[queue]) + len(self.suspects[queue]),
                late[queue],
                sum(n for (of, _), n in held.items() if of == queue),
                len(self.dead[queue]),
            )
            told = (count.waiting, count.delayed, count.leased, count.dead)
            if truth != told:
                faults.append(
                    f"queue {queue} counts (waiting, delayed, leased, dead) {told}, has {truth}"
                )
        tenants: Counter[str] = Counter()
        for (_, tenant), number in held.items():
            tenants[tenant] += number
        if dict(tenants) != self.leased:
            faults.append(f"tenants hold {dict(tenants)}, counted {self.leased}")
        return faults

    # -- reading

    def _place(self, message: str) -> tuple[str, str]:
        words = self.messages.get(message, "").split("\n", 1)[0].split(" ")
        return (words[6], words[7]) if len(words) >= 8 else ("?", "?")

    def _scan(self) -> None:
        prefix = self._keys.prefix
        cursor: Any = 0
        while True:
            cursor, found = self._command(
                "SCAN", cursor, "MATCH", _escaped(prefix) + "*", "COUNT", 1000
            )
            for name in (raw.decode(errors="replace").removeprefix(prefix) for raw in found):
                self._look_at(name)
            if int(cursor) == 0:
                return

    def _look_at(self, name: str) -> None:
        kind, _, rest = name.partition(":")
        if kind == "lease":
            self.leases[rest] = self._hash("lease", consumer=rest)
        elif kind == "consumer" and rest not in self.consumers:
            self.stray.append(f"consumer:{rest} of nobody")
        elif kind == "queue" and ":waiting:" in rest:
            queue, _, tenant = rest.partition(":waiting:")
            self.waiting.setdefault(queue, []).extend(
                self._all("waiting", queue=queue, tenant=tenant)
            )

    def _hash(self, name: str, **fields: str) -> dict[str, str]:
        found = self._command("HGETALL", self._keys.name(name, **fields))
        words = [word.decode(errors="replace") for word in found]
        return dict(zip(words[::2], words[1::2], strict=True))

    def _all(self, name: str, **fields: str) -> list[str]:
        return [m for m, _ in self._scored(name, **fields)]

    def _scored(self, name: str, **fields: str) -> list[tuple[str, str]]:
        found = self._command("ZRANGE", self._keys.name(name, **fields), 0, -1, "WITHSCORES")
        words = [word.decode(errors="replace") for word in found]
        return list(zip(words[::2], words[1::2], strict=True))


def _escaped(pattern: str) -> str:
    return "".join("\\" + sign if sign in "*?[]^\\" else sign for sign in pattern)
