"""The program that the tests of the `dramatiq` command run in processes of their own.

Owns: actors that tell what they did by a line in a file. Which broker, and where, comes from the
environment that `test_command.py` sets.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.middleware import AsyncIO, Middleware
from dramatiq.middleware.prometheus import Prometheus

from tests.contract.brokers import make_broker

KIND = os.environ["CONFORMANCE_BROKER"]
JOURNAL = Path(os.environ["CONFORMANCE_JOURNAL"])
# Stock finds dead workers on a random thousandth of its commands, after a minute; not in a test.
EAGER = {"heartbeat_timeout": 1_000, "maintenance_chance": 1_000_000} if KIND == "stock" else {}


def tell(what: str) -> None:
    """Add a line `pid what` to the journal; one small write is whole even with many writers."""
    with JOURNAL.open("a") as file:
        file.write(f"{os.getpid()} {what}\n")


class Boots(Middleware):
    """Tells when a worker process is up and when it goes down."""

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        tell("boot")

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        tell("shutdown")


extra: list[Middleware] = [AsyncIO(), Boots()]
if os.environ.get("CONFORMANCE_PROMETHEUS"):
    extra.append(Prometheus())

broker = make_broker(
    KIND,
    os.environ["CONFORMANCE_URL"],
    namespace=os.environ["CONFORMANCE_NAMESPACE"],
    extra=extra,
    **EAGER,
)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="one")
def note(n: int) -> None:
    tell(f"note {n}")
    time.sleep(0.02)


@dramatiq.actor(queue_name="two")
def other(n: int) -> None:
    tell(f"other {n}")


@dramatiq.actor(queue_name="one")
def slow(seconds: float) -> None:
    tell("began")
    time.sleep(seconds)
    tell("ended")


@dramatiq.actor(queue_name="one")
async def gentle(n: int) -> None:
    await asyncio.sleep(0.01)
    tell(f"gentle {n}")
