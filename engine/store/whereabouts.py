"""Where the messages of a run are and what they stand behind: read, never changed.

The caller says at which positions to look; nothing here looks through a queue or a keyspace. What
is read together is not one moment: a message may move between two answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.store.connection import Links

_ITEMS_AT_MOST = 1_000


class OpenJoin(NamedTuple):
    """A join: `missing` are up to 1,000 of the members that have not arrived.

    `members` is -1 as long as an each still reads pages.
    """

    position: str
    members: int
    arrived: int
    missing: list[int]

    @property
    def full(self) -> bool:
        """Whether all have arrived: its successor is on its way, or has died."""
        return 0 <= self.members <= self.arrived


class OpenEach(NamedTuple):
    """An each under way: `begun` are up to 1,000 items that run; `next` is the first not begun."""

    position: str
    items: int
    next: int
    begun: list[int]
    cut: bool


class Live(NamedTuple):
    """A message that has not ended.

    Attributes:
        stalls: proven deaths of a process that ran it alone, or None if it never was suspected.
        due_at_ms: when it became, or becomes, runnable.
    """

    message: str
    kind: str
    attempt: int
    stalls: int | None
    due_at_ms: int
    queue: str
    tenant: str

    @property
    def position(self) -> str:
        """Where in its run."""
        return self.message.partition(":")[2]


class Standing(NamedTuple):
    """Where a live message is: at most one of the first four says something.

    Attributes:
        consumer: who has leased it: (id, host, pid, last beat in ms).
        delayed: whether it waits for `due_at_ms`.
        suspect: whether it waits to run alone because its process died.
        ahead: how many messages of its tenant go before it in its queue.
        unknown_at_ms: when a worker first did not know its stage.
        last_error: its last failure, as JSON.
    """

    live: Live
    consumer: tuple[str, str, int, int] | None
    delayed: bool
    suspect: bool
    ahead: int | None
    unknown_at_ms: int | None
    last_error: bytes | None


class Line(NamedTuple):
    """What holds for all messages of one tenant in one queue.

    Attributes:
        consumers: how many live worker processes serve the queue.
        turn: how many tenants are before it in the queue's ring; None if it is not in it.
        parked: it waits for a slot, or is paused.
        token_at_ms: when its rate lets it run again.
        tenant_leased: leases it holds over all queues; known only while anyone has limits.
    """

    paused: bool
    limit: int | None
    leased: int
    consumers: int
    turn: int | None
    parked: bool
    token_at_ms: int | None
    tenant_leased: int


class Whereabouts:
    """The places of messages in one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def opened(self, run: str) -> tuple[list[OpenJoin], list[OpenEach]]:
        """The joins and eaches that a run has open."""
        keys = self.links.keys
        names = [raw.decode() for raw in self.links.command("SMEMBERS", keys.name("open", run=run))]
        places = [self._place_of(run, name) for name in names]
        joins = [position for kind, position in places if kind == "join"]
        eaches = [position for kind, position in places if kind == "each"]
        return (
            [one for position in sorted(joins) if (one := self._join(run, position))],
            [each for position in sorted(eaches) if (each := self._each(run, position))],
        )

    def _place_of(self, run: str, name: str) -> tuple[str, str]:
        keys = self.links.keys
        for kind in ("join", "each"):
            head = keys.name(kind, run=run, position="")
            if name.startswith(head):
                return kind, name[len(head) :]
        return "", ""

    def _join(self, run: str, position: str) -> OpenJoin | None:
        name = self.links.keys.name("join", run=run, position=position)
        members, arrived = self.links.command("HMGET", name, "members", "arrived")
        if members is None:
            return None
        number = int(members)
        looked_at = range(min(max(number, 0), _ITEMS_AT_MOST))
        commands = [("HEXISTS", name, member) for member in looked_at]
        there = self.links.commands(commands) if commands else []
        missing = [member for member, has in zip(looked_at, there, strict=True) if not has]
        return OpenJoin(position, number, int(arrived or 0), missing)

    def _each(self, run: str, position: str) -> OpenEach | None:
        name = self.links.keys.name("each", run=run, position=position)
        (items, following), fields = self.links.commands(
            [("HMGET", name, "items", "next"), ("HLEN", name)]
        )
        if items is None:
            return None
        cursor = int(following or 0)
        # Items are taken out as they end, and few run at a time; but one that died stays behind.
        whole = fields <= 10 * _ITEMS_AT_MOST
        if whole:
            names = [int(raw) for raw in self.links.command("HKEYS", name) if raw.isdigit()]
            begun = sorted(item for item in names if item < cursor)
        else:
            first = max(cursor - _ITEMS_AT_MOST, 0)
            there = self.links.commands(
                [("HEXISTS", name, item) for item in range(first, cursor)] or [("HLEN", name)]
            )
            begun = [item for item, has in zip(range(first, cursor), there, strict=False) if has]
        cut = not whole or len(begun) > _ITEMS_AT_MOST
        return OpenEach(position, int(items), cursor, begun[:_ITEMS_AT_MOST], cut)

    def live(self, run: str, positions: Sequence[str]) -> list[Live]:
        """The messages of a run that have not ended, at these positions."""
        if not positions:
            return []
        ids = [f"{run}:{position}" for position in positions]
        records = self.links.command("HMGET", self.links.keys.name("messages"), *ids)
        return [
            live
            for message, record in zip(ids, records, strict=True)
            if record is not None and (live := _live(message, record)) is not None
        ]

    def dead(self, run: str, positions: Sequence[str]) -> list[str]:
        """The dead letters of a run, at these positions."""
        ids = [f"{run}:{position}" for position in positions]
        there = self.links.commands(
            [("EXISTS", self.links.keys.name("letter", message=message)) for message in ids]
        )
        return [message for message, has in zip(ids, there, strict=True) if has]

    def standing(self, lives: Sequence[Live]) -> list[Standing]:
        """Where each of these messages is; a command or six for each, in one write."""
        if not lives:
            return []
        keys, ids = self.links.keys, [live.message for live in lives]
        holders = self._holders(ids)
        replies = self.links.commands(
            [
                command
                for live in lives
                for command in (
                    ("ZSCORE", keys.name("delayed"), live.message),
                    ("ZSCORE", keys.name("suspects", queue=live.queue), live.message),
                    (
                        "ZREVRANK",
                        keys.name("waiting", queue=live.queue, tenant=live.tenant),
                        live.message,
                    ),
                    ("HGET", keys.name("unknown"), live.message),
                    ("LINDEX", keys.name("errors", message=live.message), -1),
                )
            ]
        )
        return [
            Standing(
                live,
                holders.get(live.message),
                replies[at] is not None,
                replies[at + 1] is not None,
                replies[at + 2],
                None if replies[at + 3] is None else int(float(replies[at + 3])),
                replies[at + 4],
            )
            for live, at in zip(lives, range(0, len(replies), 5), strict=True)
        ]

    def _holders(self, ids: Sequence[str]) -> dict[str, tuple[str, str, int, int]]:
        keys = self.links.keys
        beats = self.links.command("ZRANGE", keys.name("consumers"), 0, -1, "WITHSCORES")
        names = [raw.decode() for raw in beats[::2]]
        replies = self.links.commands(
            [
                command
                for name in names
                for command in (
                    ("HMGET", keys.name("lease", consumer=name), *ids),
                    ("HMGET", keys.name("consumer", consumer=name), "host", "pid"),
                )
            ]
        )
        held: dict[str, tuple[str, str, int, int]] = {}
        for i, name in enumerate(names):
            leases, (host, pid) = replies[2 * i], replies[2 * i + 1]
            about = (name, (host or b"").decode(), int(pid or 0), int(float(beats[2 * i + 1])))
            held.update({one: about for one, lease in zip(ids, leases, strict=True) if lease})
        return held

    def lines(
        self, pairs: Iterable[tuple[str, str]], *, alive_since_ms: int
    ) -> dict[tuple[str, str], Line]:
        """What holds for the messages of a tenant in a queue, for pairs of both.

        Args:
            pairs: (queue, tenant).
            alive_since_ms: A worker process that has not beaten since then is not counted.
        """
        serving = self._serving(alive_since_ms)
        return {(queue, tenant): self._line(queue, tenant, serving) for queue, tenant in pairs}

    def _line(self, queue: str, tenant: str, serving: Sequence[Sequence[str]]) -> Line:
        keys = self.links.keys
        (paused, limit, leased), turn, parked, token, held = self.links.commands(
            [
                ("HMGET", keys.name("queue", queue=queue), "paused", "limit", "leased"),
                ("ZRANK", keys.name("ring", queue=queue), tenant),
                ("SISMEMBER", keys.name("parked", tenant=tenant), queue),
                ("ZSCORE", keys.name("throttled"), f"{queue} {tenant}"),
                ("HGET", keys.name("leased"), tenant),
            ]
        )
        return Line(
            paused is not None,
            int(limit) if limit else None,
            int(leased or 0),
            sum(queue in queues for queues in serving),
            turn,
            bool(parked),
            None if token is None else int(float(token)),
            int(held or 0),
        )

    def _serving(self, alive_since_ms: int) -> list[list[str]]:
        """The queues of each live worker process."""
        keys = self.links.keys
        names = self.links.command(
            "ZRANGE", keys.name("consumers"), alive_since_ms, "+inf", "BYSCORE"
        )
        replies = self.links.commands(
            [("HGET", keys.name("consumer", consumer=raw.decode()), "queues") for raw in names]
        )
        return [(raw or b"").decode().split(",") for raw in replies]


def _live(message: str, record: bytes) -> Live | None:
    words = record.partition(b"\n")[0].decode(errors="replace").split(" ")
    if len(words) != 8:
        return None
    kind, attempt, stalls, _, _, due, queue, tenant = words
    proven = None if stalls == "-" else int(stalls)
    return Live(message, kind, int(attempt), proven, int(due), queue, tenant)
