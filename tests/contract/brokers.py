"""The two brokers that the conformance suites compare, by name.

Owns: how a broker of each kind is made for a test. `stock` is Dramatiq's own Redis broker,
`callboard` is ours. Must not: know anything about what a suite tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dramatiq
from dramatiq.brokers import redis as stock_module

from engine.broker import RedisBroker

NAMES = ("stock", "callboard")
STOCK_CLASS = stock_module.RedisBroker  # kept before anything puts ours in its place


def broker_class(name: str) -> type[Any]:
    """Give the broker class called `name` (one of NAMES)."""
    if name == "stock":
        return STOCK_CLASS
    return RedisBroker


def make_broker(
    name: str,
    url: str,
    *,
    namespace: str = "dramatiq",
    middleware: Iterable[dramatiq.Middleware] | None = None,
    extra: Iterable[dramatiq.Middleware] = (),
    **options: Any,
) -> Any:
    """Make an unconnected broker with Dramatiq's default middleware.

    Args:
        middleware: Replaces the default middleware.
        extra: Is added behind the default (or the given) middleware.
        options: Go to the broker's class.
    """
    if middleware is not None:
        options["middleware"] = list(middleware)
    broker = broker_class(name)(url=url, namespace=namespace, **options)
    for one in extra:
        broker.add_middleware(one)
    return broker
