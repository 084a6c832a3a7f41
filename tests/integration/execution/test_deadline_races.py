"""Work that ends in the very moment of its deadline: struck once or never, and never afterwards."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from dramatiq.middleware import Shutdown
from dramatiq.threading import raise_thread_exception

from engine.execution.deadline import Deadlines, Struck

TIMEOUT_MS = 1
AROUND_S = 0.0002  # how far from its deadline a work ends
LAST_S = 1.5


@pytest.fixture(autouse=True)
def restless_interpreter() -> Iterator[None]:
    """Threads change often, so that a strike meets every step of a block that closes."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def deadlines() -> Deadlines:
    deadlines = Deadlines()
    # The first block starts the watcher; CPython may give a new thread its parent's interrupt.
    deadlines.within(1_000, lambda: None)
    return deadlines


def spin(until: float) -> None:
    while time.monotonic() < until:
        pass


def doze(until: float) -> None:
    time.sleep(max(until - time.monotonic(), 0))


def swallow(until: float) -> None:
    try:
        spin(until)
    except Struck:
        spin(time.monotonic() + AROUND_S)


def fail(until: float) -> None:
    spin(until)
    raise ValueError("on its own")


def about_the_deadline() -> float:
    return time.monotonic() + TIMEOUT_MS / 1000 + random.uniform(-AROUND_S, AROUND_S)


def after_the_block() -> None:
    spin(time.monotonic() + random.choice((0.00005, 0.0002, 0.003)))


def hammer(deadlines: Deadlines, seen: Counter[str]) -> None:
    """Block after block; a strike that comes outside of one is a leak."""
    try:
        end = time.monotonic() + LAST_S
        while time.monotonic() < end:
            work = random.choice((spin, doze, swallow, fail))
            try:
                deadlines.within(TIMEOUT_MS, work, about_the_deadline())
                seen["in time"] += 1
            except Struck:
                seen["struck"] += 1
            except ValueError:
                seen["failed"] += 1
            after_the_block()
    except Struck:
        seen["leaked"] += 1


def check_at_rest(deadlines: Deadlines) -> None:
    assert deadlines.armed == 0
    started = time.monotonic()
    with pytest.raises(Struck):  # the watcher is well
        deadlines.within(20, spin, started + 5)
    assert 0.02 <= time.monotonic() - started <= 0.07
    assert deadlines.armed == 0
    assert deadlines.within(1_000, lambda: "done") == "done"


def test_work_that_ends_about_its_deadline_is_struck_once_or_never(deadlines: Deadlines) -> None:
    seen: Counter[str] = Counter()
    threads = [
        threading.Thread(target=hammer, args=(deadlines, seen), daemon=True) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LAST_S + 5)
    assert not any(thread.is_alive() for thread in threads), "a block never closed"
    assert seen["leaked"] == 0, seen
    assert min(seen["in time"], seen["struck"], seen["failed"]) > 50, seen
    check_at_rest(deadlines)


def test_a_strike_that_the_work_swallows_is_raised_when_it_returns(deadlines: Deadlines) -> None:
    for _ in range(20):
        with pytest.raises(Struck):
            deadlines.within(TIMEOUT_MS, swallow, time.monotonic() + 5)
        spin(time.monotonic() + 0.002)
    check_at_rest(deadlines)


def interrupted(
    deadlines: Deadlines, seen: Counter[str], begun: SimpleQueue[float], told: threading.Event
) -> None:
    """One block and one foreign interrupt about its end, whichever comes first."""
    try:
        until = about_the_deadline()
        begun.put(until)
        try:
            deadlines.within(TIMEOUT_MS, spin, until)
        except (Struck, Shutdown) as met:
            seen[type(met).__name__] += 1
        while not told.is_set():
            spin(time.monotonic() + 0.0001)
        spin(time.monotonic() + 0.002)
    except Struck:
        seen["leaked"] += 1
    except Shutdown:
        seen["Shutdown later"] += 1


def test_another_interrupt_meanwhile_leaves_no_deadline_armed(deadlines: Deadlines) -> None:
    seen: Counter[str] = Counter()
    for _ in range(300):
        begun, told = SimpleQueue[float](), threading.Event()
        thread = threading.Thread(
            target=interrupted, args=(deadlines, seen, begun, told), daemon=True
        )
        thread.start()
        spin(begun.get(timeout=5) + random.uniform(-AROUND_S, AROUND_S))
        raise_thread_exception(thread.ident, Shutdown)
        told.set()
        thread.join(5)
        assert not thread.is_alive(), "its block never closed"
    assert seen["leaked"] == 0, seen
    assert min(seen["Struck"], seen["Shutdown"]) > 10, seen
    check_at_rest(deadlines)
