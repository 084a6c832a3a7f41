"""A bit of everything, sent while things break."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

from engine.errors import StoreError
from tests.chaos import workload
from tests.chaos.fleet import Fleet

_numbers = itertools.count(1)


def send_some(fleet: Fleet, each: int = 10, *, plain: bool = True) -> None:
    """Send `each` of every kind of work that ends well; what is refused is not noted."""
    history = fleet.history
    for tenant in range(each):
        number = next(_numbers)
        options: dict[str, Any] = {"tenant": f"t{tenant % 3}"}
        _accept(lambda n=number, o=options: history.accepted([workload.line.start(n, **o)]))
        _accept(lambda o=options: history.accepted([workload.fan.start(12, **o)]))
        _accept(lambda n=number, o=options: history.accepted([workload.forked.start(n, **o)]))
        _accept(lambda n=number, o=options: history.accepted([workload.steady_async.send(n, **o)]))
        _accept(
            lambda n=number, o=options: history.accepted(
                [workload.short.send(n, delay="300ms", **o)]
            )
        )
        key = f"key-{number}"
        for _ in range(2):
            _accept(lambda n=number, k=key: history.accepted([workload.once.send(n, key=k)], k))
        if plain:
            _accept(
                lambda n=number: fleet.plain["plain_flaky"].send(n) and plain_sent(fleet).append(n)
            )


def plain_sent(fleet: Fleet) -> list[int]:
    """The numbers of the plain messages that were accepted."""
    if not hasattr(fleet, "plain_numbers"):
        fleet.plain_numbers = []  # type: ignore[attr-defined]
    return fleet.plain_numbers  # type: ignore[attr-defined,no-any-return]


def _accept(send: Callable[[], Any]) -> None:
    try:
        send()
    except StoreError:
        return


class Producer:
    """Sends some of everything again and again from a thread of its own."""

    def __init__(self, fleet: Fleet, *, pause_s: float = 0.1, each: int = 2) -> None:
        self._fleet, self._pause_s, self._each = fleet, pause_s, each
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Producer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(60)
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self._pause_s):
                send_some(self._fleet, self._each)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self._error = error
