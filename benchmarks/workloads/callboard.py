"""The work, written for Callboard: typed stages, keys, tenants; every function as in `stock.py`.

Owns: Callboard's side of every measure. Imported by the `dramatiq` command and by the sender; the
address comes from REDIS_URL, sampling from the peer's environment.
"""

from __future__ import annotations

import os
import time

from pydantic import BaseModel

from benchmarks.marks import Marks, mark
from engine import Pipeline, each, stage

STAGES = 5
TENANTS = 10
SLOT = 1_000_000
AT_A_TIME = 2_000


class Item(BaseModel):
    """What passes through the five stages."""

    n: int
    name: str
    tries: int


@stage
def first(item: Item) -> Item:
    mark(item.n * STAGES)
    return item


@stage
def second(item: Item) -> Item:
    mark(item.n * STAGES + 1)
    return item


@stage
def third(item: Item) -> Item:
    mark(item.n * STAGES + 2)
    return item


@stage
def fourth(item: Item) -> Item:
    mark(item.n * STAGES + 3)
    return item


@stage
def fifth(item: Item) -> None:
    mark(item.n * STAGES + 4)


five = Pipeline("five", first | second | third | fourth | fifth)


@stage
def noop(n: int) -> None:
    mark(n)


@stage
def keep(payload: str) -> None:
    """Only queued, for the memory measure."""


@stage
def spread(order: list[int]) -> list[int]:
    members, slot = order
    return [slot * SLOT + i for i in range(members)]


@stage
def member(i: int) -> int:
    return i


@stage
def gather(results: list[int]) -> int:
    mark(results[0] // SLOT)
    return len(results)


fan = Pipeline("fan", spread | each(member) | gather)


def _tenant(n: int) -> str:
    return f"tenant-{n % TENANTS}"


def enqueue_pipelines(count: int) -> None:
    """Queue `count` pipelines of five stages, each with a key of its own, over ten tenants."""
    for low in range(0, count, AT_A_TIME):
        items = [Item(n=n, name="push", tries=0) for n in range(low, min(low + AT_A_TIME, count))]
        five.start_many(
            items,
            tenant=[_tenant(item.n) for item in items],
            keys=[f"delivery-{item.n}" for item in items],
        )


def enqueue_noops(count: int) -> None:
    """Queue `count` no-op stages."""
    for low in range(0, count, AT_A_TIME):
        _send_noops(range(low, min(low + AT_A_TIME, count)))


def _send_noops(numbers: range) -> None:
    noop.send_many(
        numbers,
        tenant=[_tenant(n) for n in numbers],
        keys=[f"delivery-{n}" for n in numbers],
    )


def enqueue_kept(count: int, payload_bytes: int) -> None:
    """Queue `count` runs with a payload of `payload_bytes`; keys differ from call to call."""
    call = time.monotonic_ns()
    for low in range(0, count, AT_A_TIME):
        numbers = range(low, min(low + AT_A_TIME, count))
        keep.send_many(
            [f"{n:0{payload_bytes}d}" for n in numbers],
            tenant=[_tenant(n) for n in numbers],
            keys=[f"delivery-{call}-{n}" for n in numbers],
        )


def send_single(count: int) -> dict[str, float]:
    """Send stages one by one; give runs a second."""
    noop.send(0, tenant=_tenant(0), key="warm-up")
    began = time.perf_counter()
    for n in range(count):
        noop.send(n, tenant=_tenant(n), key=f"single-{n}")
    return {"single send /s": count / (time.perf_counter() - began)}


def send_bulk(count: int) -> dict[str, float]:
    """Send stages in one call for `AT_A_TIME`; give runs a second."""
    noop.send(0, tenant=_tenant(0), key="warm-up-bulk")
    began = time.perf_counter()
    enqueue_noops(count)
    return {"bulk send /s": count / (time.perf_counter() - began)}


def ping(count: int, spacing_s: float) -> list[int]:
    """Send `count` no-ops, `spacing_s` apart; give the send times in ns (CLOCK_MONOTONIC)."""
    sent = []
    for n in range(count):
        sent.append(time.monotonic_ns())
        noop.send(n, tenant=_tenant(n), key=f"ping-{n}")
        time.sleep(spacing_s)
    return sent


def fan_out(members: int, rounds: int) -> list[float]:
    """Run 1 -> `members` -> 1, `rounds` times; give seconds from send to the last stage, each."""
    marks = Marks(os.environ["BENCH_MARKS"])
    taken = []
    for slot in range(rounds):
        began = time.monotonic_ns()
        fan.start([members, slot], tenant=_tenant(slot), key=f"fan-{slot}")
        while not marks.reached(slot):
            time.sleep(0.005)
        taken.append((marks.all()[slot] - began) / 1e9)
    return taken
