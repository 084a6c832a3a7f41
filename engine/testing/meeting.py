"""Where branches meet: joins that count arrivals, and eaches that feed them.

Owns: when a join is satisfied or beyond hope, and which items are under way. Must not: send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.workflow.edges import First, OpenEach, OpenJoin, Send
from engine.workflow.transitions import joined

_NULL = b"null"


class Scope(NamedTuple):
    """The positions between a fork and its join, once the join has gone on without all of them."""

    first: int
    last: int
    indices: tuple[str, ...]

    @classmethod
    def of(cls, opened: OpenJoin) -> Scope | None:
        """Return what a join closes when it goes on, None if it waits for all."""
        if opened.scope is None:
            return None
        return cls(*opened.scope, tuple(opened.join.split(".")[1:]))

    def covers(self, position: str) -> bool:
        """Say whether nothing may begin there any more; what undoes stands outside of all."""
        if position.startswith("~"):
            return False
        number, *indices = position.split(".")
        return self.first < int(number) < self.last and (
            tuple(indices[: len(self.indices)]) == self.indices
        )


@dataclass(slots=True)
class Join:
    """One open join. `members` is -1 while an each still reads pages."""

    opened: OpenJoin
    members: int
    arrived: dict[int, bytes] = field(default_factory=dict[int, bytes])
    failed: set[int] = field(default_factory=set[int])

    def arrive(self, member: int, result: bytes, *, failed: bool) -> bool:
        """Take in one member; False if it came before."""
        if member in self.arrived or member in self.failed:
            return False
        if failed:
            self.failed.add(member)
        else:
            self.arrived[member] = result
        return True

    @property
    def satisfied(self) -> bool:
        """Whether it may go on."""
        if self.opened.need:
            return len(self.arrived) >= self.opened.need
        return len(self.arrived) == self.members

    @property
    def hopeless(self) -> bool:
        """Whether too many members have failed for it to go on ever."""
        need = self.opened.need
        return need > 0 and self.members - len(self.failed) < need

    def value(self) -> bytes:
        """Return the input of what follows."""
        if self.opened.bare:
            (winner,) = self.arrived.values()
            return winner
        return joined(self.arrived.get(member, _NULL) for member in range(self.members))


@dataclass(slots=True)
class Spread:
    """One open each: what it has read and not yet sent."""

    window: int
    first: First
    items: deque[bytes]
    more: Send | None
    read: int
    sent: int = 0
    under_way: int = 0

    @classmethod
    def of(cls, edge: OpenEach) -> Spread:
        """Return the each that an edge opens."""
        return cls(edge.window, edge.first, deque(edge.items), edge.more, len(edge.items))

    def extend(self, items: list[bytes], more: Send | None) -> None:
        """Take in another page."""
        self.items.extend(items)
        self.read += len(items)
        self.more = more

    def sends(self) -> Iterator[Send]:
        """Yield the items that the window has room for, then the page to read if few are left."""
        while self.items and self.under_way < self.window:
            first, item = self.first, self.items.popleft()
            position = f"{first.position}.{self.sent}"
            self.sent += 1
            self.under_way += 1
            yield Send(position, first.stage, first.queue, first.priority, item)
        if self.more is not None and len(self.items) < self.window:
            more, self.more = self.more, None
            yield more
