"""The store of one engine: its rooms over one set of links."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry as ClientRetry

from engine.store.callbacks import Callbacks
from engine.store.connection import Links
from engine.store.duties import Duties
from engine.store.events import Events
from engine.store.index import Index
from engine.store.keys import Keys
from engine.store.letters import Letters
from engine.store.queues import Queues
from engine.store.replicas import Replicas
from engine.store.runs import Runs
from engine.store.scripts import EVENTS_KEPT
from engine.store.transit import Transit
from engine.store.usage import Usage
from engine.store.whereabouts import Whereabouts

DAY_MS = 86_400_000


class Store:
    """Everything the engine keeps in one shard of Redis.

    Args:
        links: Connections; see `connect`.
        client: The client they were taken from, if one was given.
        failed_keep_ms: How long failed runs are kept.
        unknown_grace_ms: How long a message of an unknown stage is offered before it dies.
        wait_replicas: How many replicas a start waits for.
    """

    def __init__(
        self,
        links: Links,
        *,
        client: redis.Redis | None = None,
        failed_keep_ms: int = 30 * DAY_MS,
        unknown_grace_ms: int = 60_000,
        wait_replicas: int = 0,
    ) -> None:
        self.links = links
        self.client = client or redis.Redis(connection_pool=links.pool)
        self.transit = Transit(
            links, failed_keep_ms=failed_keep_ms, unknown_grace_ms=unknown_grace_ms
        )
        self.runs = Runs(links)
        self.index = Index(links)
        self.whereabouts = Whereabouts(links)
        self.queues = Queues(links)
        self.letters = Letters(links)
        self.events = Events(links)
        self.duties = Duties(links)
        self.usage = Usage(links)
        self.callbacks = Callbacks(links)
        self.replicas = Replicas(links, wait_replicas)

    def lead(self, candidate: str, lease_ms: int) -> tuple[bool, int]:
        """Takes or renews the schedulers' leadership; 0 ms gives it up: (leads, fencing token)."""
        leads, token = self.links.call("lead", [candidate, lease_ms])
        return bool(leads), token

    def leader(self) -> tuple[str, int, int] | None:
        """The schedulers' leader: (holder, fencing token, ms left; below 0 its lease lapsed)."""
        name = self.links.keys.name("leader")
        holder, token, until = self.links.command("HMGET", name, "holder", "token", "until")
        if holder is None:
            return None
        return holder.decode(), int(token), int(float(until)) - self.queues.now_ms()

    def close(self) -> None:
        """Closes this process's connections."""
        self.links.close()


def pool_of(
    url: str | None = None, *, timeout_ms: int = 5_000, **parameters: Any
) -> redis.ConnectionPool:
    """A pool whose retries are ours: the client tries once, the links decide about more."""
    settings: dict[str, Any] = {
        "socket_connect_timeout": timeout_ms / 1000,
        "socket_timeout": timeout_ms / 1000,
        "retry": ClientRetry(NoBackoff(), 0),
        "protocol": 2,
        **parameters,
    }
    if url is None:
        return redis.Redis(**settings).connection_pool
    return redis.ConnectionPool.from_url(url, **settings)


def connect(
    url: str | None = None,
    *,
    namespace: str = "cb",
    client: redis.Redis | None = None,
    shifted_clock: bool = False,
    timeout_ms: int = 5_000,
    events_kept: int = EVENTS_KEPT,
    parameters: dict[str, Any] | None = None,
    **keeping: int,
) -> Store:
    """A store on the server at `url`, or behind an existing client; connects at the first use."""
    pool = (
        client.connection_pool
        if client is not None
        else pool_of(url, timeout_ms=timeout_ms, **(parameters or {}))
    )
    links = Links(
        pool,
        Keys(namespace),
        shifted_clock=shifted_clock,
        owned=client is None,
        events_kept=events_kept,
    )
    return Store(links, client=client, **keeping)
