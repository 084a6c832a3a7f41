"""The work, written for stock Dramatiq: actors and `pipeline`.

Owns: stock's side of every measure but the fan-out. Imported by the `dramatiq` command and by the
sender. With BENCH_BROKER=callboard the very same code runs on Callboard's broker.
"""

from __future__ import annotations

import os
import time
from typing import Any

import dramatiq

from benchmarks.marks import mark

URL = os.environ["REDIS_URL"]
STAGES = 5

if os.environ.get("BENCH_BROKER") == "callboard":
    from engine.broker import RedisBroker
else:
    from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=URL)
dramatiq.set_broker(broker)

Item = dict[str, Any]


@dramatiq.actor
def first(item: Item) -> Item:
    mark(item["n"] * STAGES)
    return item


@dramatiq.actor
def second(item: Item) -> Item:
    mark(item["n"] * STAGES + 1)
    return item


@dramatiq.actor
def third(item: Item) -> Item:
    mark(item["n"] * STAGES + 2)
    return item


@dramatiq.actor
def fourth(item: Item) -> Item:
    mark(item["n"] * STAGES + 3)
    return item


@dramatiq.actor
def fifth(item: Item) -> None:
    mark(item["n"] * STAGES + 4)


@dramatiq.actor
def noop(n: int) -> None:
    mark(n)


@dramatiq.actor
def keep(payload: str) -> None:
    """Only queued, for the memory measure."""


def enqueue_pipelines(count: int) -> None:
    """Queue `count` pipelines of five stages."""
    for n in range(count):
        dramatiq.pipeline(
            [
                first.message({"n": n, "name": "push", "tries": 0}),
                second.message(),
                third.message(),
                fourth.message(),
                fifth.message(),
            ]
        ).run()


def enqueue_noops(count: int) -> None:
    """Queue `count` no-op messages."""
    for n in range(count):
        noop.send(n)


def enqueue_kept(count: int, payload_bytes: int) -> None:
    """Queue `count` messages with a payload of `payload_bytes`."""
    for n in range(count):
        keep.send(f"{n:0{payload_bytes}d}")


def send_single(count: int) -> dict[str, float]:
    """Send one by one; give messages a second."""
    noop.send(0)
    began = time.perf_counter()
    for n in range(count):
        noop.send(n)
    return {"single send /s": count / (time.perf_counter() - began)}


def send_bulk(count: int) -> dict[str, float]:
    """Send many; stock Dramatiq has no bulk send, so this is the same loop."""
    return {"bulk send /s": send_single(count)["single send /s"]}


def ping(count: int, spacing_s: float) -> list[int]:
    """Send `count` no-ops, `spacing_s` apart; give the send times in ns (CLOCK_MONOTONIC)."""
    sent = []
    for n in range(count):
        sent.append(time.monotonic_ns())
        noop.send(n)
        time.sleep(spacing_s)
    return sent
