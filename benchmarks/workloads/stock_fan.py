"""1 -> many -> 1 for stock Dramatiq: a `group` with GroupCallbacks, and Results on every member.

Owns: that work alone, so that the other measures do not pay for the two middleware.
"""

from __future__ import annotations

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as RateLimitBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend

from benchmarks.marks import Marks, mark

URL = os.environ["REDIS_URL"]

broker = RedisBroker(url=URL)
broker.add_middleware(GroupCallbacks(RateLimitBackend(url=URL)))
broker.add_middleware(Results(backend=ResultBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor
def spread(members: int, slot: int) -> None:
    fan = dramatiq.group([member.message(i) for i in range(members)])
    fan.add_completion_callback(gather.message(slot))
    fan.run()


@dramatiq.actor(store_results=True)
def member(i: int) -> int:
    return i


@dramatiq.actor
def gather(slot: int) -> None:
    mark(slot)


def fan_out(members: int, rounds: int) -> list[float]:
    """Run 1 -> `members` -> 1, `rounds` times; give seconds from send to the last stage, each."""
    marks = Marks(os.environ["BENCH_MARKS"])
    taken = []
    for slot in range(rounds):
        began = time.monotonic_ns()
        spread.send(members, slot)
        while not marks.reached(slot):
            time.sleep(0.005)
        taken.append((marks.all()[slot] - began) / 1e9)
    return taken
