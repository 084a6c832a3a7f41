"""Fetches straight from the store, without a worker: what one message costs as queues grow.

Owns: filling a namespace of its own and timing fetches. Uses the store's own API, so it is the one
room of the benchmarks that knows it.
"""

from __future__ import annotations

import os
import time
from statistics import median
from uuid import uuid4

from engine.store.connection import Link
from engine.store.entries import Outgoing
from engine.store.store import Store, connect

QUEUE = "default"
BODY = b'{"queue_name":"default","actor_name":"keep","args":[],"kwargs":{},"options":{}}'
SENT_AT_ONCE = 256
FETCHES = 30
FETCHED_AT_ONCE = 32


def fetch_us(cases: list[list[int]]) -> list[float]:
    """Give microseconds a fetched message for each case of (tenants, queued).

    All cases are filled first, each in its own namespace, and then fetched from in turn, so that a
    slow moment of the machine hits them alike.
    """
    stores = [_filled(tenants, queued) for tenants, queued in cases]
    try:
        links = [store.links.take() for store in stores]
        taken: list[list[float]] = [[] for _ in stores]
        for number in range(1, FETCHES + 1):
            for store, link, times in zip(stores, links, taken, strict=True):
                times.append(_fetch_s(store, link, number))
        return [median(times) * 1e6 / FETCHED_AT_ONCE for times in taken]
    finally:
        for store in stores:
            store.close()


def _filled(tenants: int, queued: int) -> Store:
    store = connect(os.environ["REDIS_URL"], namespace=f"fetch-{tenants}-{queued}")
    _fill(store, tenants, queued)
    store.transit.enlist("bench", "here", os.getpid(), "0", [(QUEUE, None)])
    return store


def _fill(store: Store, tenants: int, queued: int) -> None:
    for low in range(0, queued, SENT_AT_ONCE):
        numbers = range(low, min(low + SENT_AT_ONCE, queued))
        store.transit.enqueue(
            uuid4().hex,
            [Outgoing(f"m{n}", QUEUE, f"tenant-{n % tenants}", 5, 1, 0, BODY) for n in numbers],
        )


def _fetch_s(store: Store, link: Link, number: int) -> float:
    began = time.perf_counter()
    batch = store.transit.fetch(link, "bench", number, FETCHED_AT_ONCE, [(QUEUE, FETCHED_AT_ONCE)])
    taken_s = time.perf_counter() - began
    assert len(batch.deliveries) == FETCHED_AT_ONCE, f"short batch: {len(batch.deliveries)}"
    return taken_s
