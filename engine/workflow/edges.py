"""What follows a finished attempt, as values the store can carry out.

Owns: the shapes of edges. Must not: compute them (transitions do) or send them.

Positions are strings: `"3"` is node 3, `"3.7"` node 3 inside item 7 of an each or round 7 of a
repeat, `"3.7.0"` nested; `"~3"` undoes what was done at `"3"`. A join, an each or a wait is named
by its own position. Inputs and results are raw JSON, never re-encoded.
"""

from __future__ import annotations

import msgspec


class Send(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A complete message: run `stage` at `position` with `input`.

    It becomes visible after `delay_ms`, or at `due_at_ms` of the server's clock if that is not 0.
    """

    position: str
    stage: str
    queue: str
    priority: int | None
    input: bytes
    delay_ms: int = 0
    due_at_ms: int = 0


class First(msgspec.Struct, frozen=True, gc=False):
    """A message still without input; item i of an each runs at `f"{position}.{i}"`."""

    position: str
    stage: str
    queue: str
    priority: int | None


class OpenJoin(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A message that waits for arrivals at `join`.

    Attributes:
        members: how many there are; -1 while an each still reads pages.
        need: how many must succeed; 0 waits for all of them to arrive.
        bare: the successor's input is the one result that counts instead of the JSON array of all
            results in member order (`null` for those that did not count).
        scope: numbers of the first node and of the join itself; positions in between are closed
            when the join goes on without all its members.
        fail: sent when `need` can no longer be reached.
    """

    join: str
    members: int
    position: str
    stage: str
    queue: str
    priority: int | None
    need: int = 0
    bare: bool = False
    scope: tuple[int, int] | None = None
    fail: Send | None = None


class Arrive(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Member number `member` (from 0) of `join` has its result, or `failed`."""

    join: str
    member: int
    result: bytes
    failed: bool = False


class OpenEach(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Run `first` once for every item, at most `window` at a time, then go on from `join`.

    Item i arrives at `join` as member i. `more` reads the next page once fewer items than the
    window are left; without it the items are all there are, and there is at least one.
    """

    each: str
    items: list[bytes]
    window: int
    first: First
    join: OpenJoin
    more: Send | None = None


class Extend(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Another page of an open each; without `more` it was the last."""

    each: str
    join: str
    items: list[bytes]
    more: Send | None


class Wait(msgspec.Struct, frozen=True, gc=False, tag=True):
    """`successor` waits for a signal or callback; what it carries will be its input.

    `fail` takes the successor's place for a callback that brings a failure. `timer` runs at the
    wait's own position when the time is over and nothing came.
    """

    wait: str
    name: str
    successor: First
    timer: Send | None
    fail: First


class StartChild(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A run of another plan begins; `successor` waits for its result, `fail` for its failure."""

    child: str
    pipeline: str
    plan: str
    edges: list[Edge]
    successor: First
    fail: Send


class Undo(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A message to run should the run fail; `position` begins with `~`."""

    position: str
    stage: str
    queue: str
    priority: int | None
    input: bytes


class End(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The run is complete with `result`."""

    result: bytes


Edge = Send | OpenJoin | Arrive | OpenEach | Extend | Wait | StartChild | Undo | End
