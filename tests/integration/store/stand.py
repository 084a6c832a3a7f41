"""A test stand for the store: one namespace, hands that act as consumers, and a clock that moves.

Owns: short verbs over the store's own wrappers. Must not: check anything; `audit` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import redis

from engine.store.entries import (
    Batch,
    Beginning,
    Claim,
    Delivery,
    Ending,
    Outgoing,
    Pulse,
    pack,
    text,
)
from engine.store.store import Store, connect

DAY_MS = 86_400_000
SILENCE_MS, GAP_MS = 10_000, 3_000
PLAN = "plan"

_numbers = itertools.count(1)

Edge = tuple[Any, ...]
"""An edge as the scripts read it."""


def new_run() -> str:
    """An id as long as the engine's."""
    return f"{next(_numbers):032x}"


class Hand:
    """A consumer of the store: fetches, commits and beats under one name.

    Args:
        stand: Where it works.
        name: Consumer id.
        queues: Queues in order of priority.
    """

    def __init__(self, stand: Stand, name: str, queues: Sequence[str]) -> None:
        self.stand, self.name, self.queues = stand, name, list(queues)
        self.fetches = self.commits = 0
        self.held: dict[str, Delivery] = {}

    def fetch(
        self,
        wanted: int = 10,
        *,
        idle: bool | None = None,
        again: bool = False,
        shares: Sequence[tuple[str, int]] | None = None,
    ) -> Batch:
        """Fetches; `again` repeats the number of the last fetch."""
        self.fetches += not again
        idle = not self.held if idle is None else idle
        shares = shares or [(queue, wanted) for queue in self.queues]
        batch = self.stand.store.transit.fetch(
            self.stand.link, self.name, self.fetches, wanted, shares, idle=idle
        )
        self.held |= {delivery.id: delivery for delivery in batch.deliveries}
        return batch

    def ids(self, wanted: int = 10, **options: Any) -> list[str]:
        return [delivery.id for delivery in self.fetch(wanted, **options).deliveries]

    def commit(self, *endings: Ending, again: bool = False) -> list[str]:
        """Commits a group; `again` repeats the number of the last commit."""
        self.commits += not again
        packed = [pack(ending) for ending in endings]
        verdicts = self.stand.store.transit.commit(self.stand.link, self.name, self.commits, packed)
        for ending in endings:
            self.held.pop(ending.id, None)
        return verdicts

    def ending(self, delivery: Delivery | str, verb: str = "done", **fields: Any) -> Ending:
        d = self.held[delivery] if isinstance(delivery, str) else delivery
        values = {"attempt": d.attempt, "stage": "stage", "result": text(b'"r"'), **fields}
        values |= {name: str(values.get(name, 0)) for name in ("attempt", "wait_ms", "run_ms")}
        if verb == "dead":
            values = {"reason": "attempts_exhausted", "story": '{"type":"Oops"}', **values}
        return Ending(d.id, str(d.token), d.kind, d.queue, d.tenant, verb, **values)

    def end(self, delivery: Delivery | str, verb: str = "done", **fields: Any) -> str:
        return self.commit(self.ending(delivery, verb, **fields))[0]

    def beat(self, *, since_ms: int = 0, queues: Sequence[str] | None = None) -> Pulse:
        return self.stand.store.transit.beat(
            self.stand.link,
            self.name,
            self.queues if queues is None else queues,
            since_ms,
            silence_ms=SILENCE_MS,
            gap_ms=GAP_MS,
        )

    def reconcile(
        self, held: Sequence[str] | None = None, *, token_seen: int | None = None
    ) -> list[str]:
        return self.stand.store.transit.reconcile(
            self.stand.link,
            self.name,
            list(self.held) if held is None else held,
            token_seen=token_seen,
        )


class Stand:
    """One namespace of one server, with the test build of the scripts.

    Args:
        client: Connected to the server; its pool is shared by all stands.
        namespace: Of this stand alone.
        options: Further ones of `connect`.
    """

    def __init__(self, client: redis.Redis, namespace: str | None = None, **options: Any) -> None:
        self.client = client
        self.namespace = namespace or f"t{uuid4().hex[:12]}"
        self.store: Store = connect(
            client=client, namespace=self.namespace, shifted_clock=True, **options
        )
        self.keys = self.store.links.keys
        self.link = self.store.links.take()
        self.shift_ms = 0
        self.store.runs.put_plan(PLAN, b"{}")
        self._ids = itertools.count(1)

    # -- time and keys

    def advance(self, ms: int) -> None:
        """Moves the scripts' clock; keys that the server itself lets expire do not notice."""
        self.shift_ms += ms
        self.client.set(self.keys.prefix + "clock", self.shift_ms)

    def now_ms(self) -> int:
        return self.store.queues.now_ms() + self.shift_ms

    def key(self, shape: str, **fields: str) -> str:
        return self.keys.name(shape, **fields)

    def names(self) -> list[str]:
        """Every key of the namespace without its prefix, sorted, less the test's own clock."""
        prefix = self.keys.prefix
        found = self.client.scan_iter(match=prefix.replace("{", r"\{") + "*", count=1000)
        return sorted({name.decode()[len(prefix) :] for name in found} - {"clock"})

    def dump(self) -> dict[str, object]:
        """What every key holds; tables without their order, which a mere look may change."""
        names = self.names()
        full = [self.keys.prefix + name for name in names]
        read = {b"hash": "HGETALL", b"set": "SMEMBERS"}
        with self.client.pipeline(transaction=False) as pipe:
            for name in full:
                pipe.type(name)
            kinds = pipe.execute()
            for name, kind in zip(full, kinds, strict=True):
                pipe.execute_command(read.get(kind, "DUMP"), name)
            return dict(zip(names, pipe.execute(), strict=True))

    def ttl(self, shape: str, **fields: str) -> int:
        """Milliseconds that a key has left; -1 without an end, -2 without the key."""
        return self.client.pttl(self.key(shape, **fields))

    def clear(self) -> None:
        names = [self.keys.prefix + name for name in [*self.names(), "clock"]]
        self.client.unlink(*names)
        self.store.links.give(self.link)
        self.store.close()

    # -- work

    def message(self, queue: str = "q", tenant: str = "t", **fields: Any) -> Outgoing:
        values = {
            "id": f"m{next(self._ids)}",
            "priority": 5,
            "allowed": 1,
            "delay_ms": 0,
            "body": b"body",
            **fields,
        }
        return Outgoing(queue=queue, tenant=tenant, **values)

    def send(
        self, number: int = 1, *, queue: str = "q", tenant: str = "t", **fields: Any
    ) -> list[str]:
        """Enqueues plain messages in one call; returns their ids."""
        messages = [self.message(queue, tenant, **fields) for _ in range(number)]
        assert (
            self.store.transit.enqueue(f"call-{messages[0].id}", messages) == ["enqueued"] * number
        )
        return [message.id for message in messages]

    def hand(
        self,
        name: str = "c1",
        queues: Sequence[str] = ("q",),
        *,
        silence_ms: int = SILENCE_MS,
        **limits: int | None,
    ) -> Hand:
        """Enlists a consumer."""
        of_queues = [(queue, limits.get(queue)) for queue in queues]
        self.store.transit.enlist(name, "host", 1, "0.1", of_queues, silence_ms=silence_ms)
        return Hand(self, name, queues)

    def beginning(
        self,
        edges: Sequence[tuple[Any, ...]] | None = None,
        *,
        run: str | None = None,
        tenant: str = "t",
        keep_ms: int = DAY_MS,
        delay_ms: int = 0,
        key: str | None = None,
        claim: Claim | None = None,
        plan: str = PLAN,
        attributes: tuple[str, ...] = (),
        notes: tuple[Any, ...] = (),
    ) -> Beginning:
        edges = [one("0")] if edges is None else list(edges)
        return Beginning(
            run or new_run(),
            "pipe",
            plan,
            tenant,
            keep_ms,
            delay_ms,
            edges,
            key,
            claim,
            attributes=attributes,
            notes=notes,
        )

    def start(self, edges: Sequence[tuple[Any, ...]] | None = None, **options: Any) -> str:
        """Begins a run that must begin; returns its id."""
        beginning = self.beginning(edges, **options)
        assert self.store.transit.start([beginning.packed()]) == [None]
        return beginning.run

    def count(self, queue: str = "q") -> tuple[int, int, int, int]:
        """Waiting, delayed, leased and dead."""
        return self.store.queues.count(queue)[1:5]

    def woken(self, queue: str = "q") -> bool:
        """Whether the queue's consumers are signalled; takes the signal away."""
        return bool(self.client.delete(self.key("wake", queue=queue)))

    def events(self, name: str | None = None) -> list[dict[str, str]]:
        facts = [record.facts for record in self.store.events.all()]
        return [fact for fact in facts if name is None or fact["event"] == name]

    def state(self, run: str) -> str | None:
        return self.store.runs.state(run)[0]


# -- edges as the scripts read them; bodies are not looked at by the store; see `branching` for more


def one(position: str, queue: str = "q", priority: int = 5, body: bytes = b"{}") -> tuple[Any, ...]:
    """A complete message."""
    return ("send", position, queue, priority, 1, text(body))


def join(position: str, members: int, queue: str = "q") -> tuple[Any, ...]:
    """A join whose successor has the join's own position."""
    return ("open", position, members, position, queue, 5, 1, text(b"{}"))


def arrive(position: str, member: int, result: bytes = b"1") -> tuple[Any, ...]:
    return ("arrive", position, str(member), text(result))


def each(
    position: str, items: Sequence[bytes], window: int, then: str, queue: str = "q"
) -> tuple[Any, ...]:
    """An each of `items` whose join is `then`."""
    successor = (then, then, queue, 5, 1, text(b"{}"))
    return (
        "each",
        position,
        [text(item) for item in items],
        window,
        queue,
        5,
        1,
        text(b"{}"),
        successor,
    )


def end(result: bytes = b'"end"') -> tuple[Any, ...]:
    return ("end", text(result))


def fork(*positions: str, then: str, queue: str = "q") -> list[tuple[Any, ...]]:
    """Stages in parallel that meet at `then`."""
    return [join(then, len(positions), queue), *(one(position, queue) for position in positions)]
