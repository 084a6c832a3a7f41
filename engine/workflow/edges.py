"""What follows a finished attempt, as values the store can carry out.

Owns: the shapes of edges. Must not: compute them (transitions do) or send them.

Positions are strings: `"3"` is node 3, `"3.7"` node 3 inside item 7 of an each, `"3.7.0"` nested.
A join or an each is named by its own position. Inputs and results are raw JSON, never re-encoded.
"""

from __future__ import annotations

import msgspec


class Send(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A complete message: run `stage` at `position` with `input`."""

    position: str
    stage: str
    queue: str
    priority: int | None
    input: bytes


class OpenJoin(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A message that waits for `members` arrivals at `join`.

    Its input will be the JSON array of their results in member order.
    """

    join: str
    members: int
    position: str
    stage: str
    queue: str
    priority: int | None


class Arrive(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Member number `member` (from 0) of `join` has its result."""

    join: str
    member: int
    result: bytes


class First(msgspec.Struct, frozen=True, gc=False):
    """A message still without input; item i of an each runs at `f"{position}.{i}"`."""

    position: str
    stage: str
    queue: str
    priority: int | None


class OpenEach(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Run `first` once for every item, at most `window` at a time, then go on from `join`.

    `items` is never empty. Item i arrives at `join` as member i.
    """

    each: str
    items: list[bytes]
    window: int
    first: First
    join: OpenJoin


class End(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The run is complete with `result`."""

    result: bytes


Edge = Send | OpenJoin | Arrive | OpenEach | End
