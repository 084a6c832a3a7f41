"""The rarer edges as the scripts read them: quorums, pages, waits, child runs, undo.

Owns: their tuples, and short verbs to work through a run that has them. Must not: check anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.store.entries import Delivery, text
from tests.integration.store.stand import Edge, Hand, Stand, each, new_run, one

Act = Callable[[], object] | None

BODY = b'{"p":1}'


def after(position: str, queue: str = "q") -> tuple[Any, ...]:
    """A message still without input."""
    return (position, queue, 5, 1, text(BODY))


def later(position: str, delay_ms: int, due_at_ms: int = 0, queue: str = "q") -> Edge:
    """A message for later."""
    return (*one(position, queue), delay_ms, due_at_ms)


def quorum(
    position: str, members: int, need: int, then: str, scope: tuple[int, int], *, bare: bool = False
) -> Edge:
    """A join that goes on at `then` once `need` have succeeded, and fails at its own position."""
    policy = (need, int(bare), *scope, one(position))
    return ("open", position, members, *after(then), policy)


def race(
    *positions: str, join: str, then: str, need: int = 1, bare: bool = True, queue: str = "q"
) -> list[Edge]:
    """Stages in parallel of which `need` count; the fork is the node before the first."""
    scope = (int(positions[0].partition(".")[0]) - 1, int(join.partition(".")[0]))
    opened = quorum(join, len(positions), need, then, scope, bare=bare)
    return [opened, *(one(position, queue) for position in positions)]


def lost(join: str, member: int) -> Edge:
    """An arrival that does not count."""
    return ("arrive", join, str(member), text(b"null"), True)


def pages(
    each_at: str,
    items: Sequence[bytes],
    window: int,
    then: str,
    more: str | None,
    queue: str = "q",
) -> Edge:
    """The first page of an each; `more` is the position that reads the next one."""
    opened = each(each_at, items, window, then, queue)
    return opened if more is None else (*opened, one(more, queue))


def extend(join: str, items: Sequence[bytes], more: str | None) -> Edge:
    """Another page."""
    return ("extend", join, [text(item) for item in items], more is not None and one(more))


def wait(position: str, name: str, then: str, timeout_ms: int | None = None) -> Edge:
    """A wait for a signal, with a timer if it has a timeout."""
    timer = timeout_ms is not None and later(position, timeout_ms)
    return ("wait", position, name, after(then), timer)


def child(
    position: str, edges: Sequence[Edge], then: str, run: str | None = None, plan: str = "plan"
) -> Edge:
    """A child run that begins so; its parent goes on at `then`, or fails at `position`."""
    return (
        "child", position, run or new_run(), "child", plan, list(edges), after(then), one(position),
    )  # fmt: skip


def undo(position: str, queue: str = "q") -> Edge:
    """What takes back the stage at `position`."""
    return ("undo", f"~{position}", queue, 5, 1, text(b"{}"))


def at(hand: Hand, wanted: int = 10) -> dict[str, Delivery]:
    """Fetches; returns what the hand holds, by position."""
    hand.fetch(wanted)
    return {delivery.id[33:]: delivery for delivery in hand.held.values()}


def value_of(delivery: Delivery) -> bytes:
    """The input that the store put into a body."""
    return delivery.body.partition(b',"input":')[2][:-1]


def fatal(position: str, queue: str = "fatal") -> Edge:
    """A message that is dead at its first proven death."""
    return ("send", position, queue, 5, 0, text(b"{}"))


def die_of(stand: Stand, living: Hand, queue: str = "fatal", *, meanwhile: Act = None) -> None:
    """The next message of a queue kills two processes, the second as a suspect that ran alone.

    `meanwhile` is done while it runs for the last time.
    """
    for lone in (None, False, True):
        if lone is not None:
            stand.hand(f"dead-{lone}", [queue]).fetch(1, idle=lone)
        if lone and meanwhile is not None:
            meanwhile()
        for _ in range(12):
            stand.advance(1_000)
            living.beat()
