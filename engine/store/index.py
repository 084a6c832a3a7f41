"""The indexes of runs: all of them by start time, and those with an attribute.

The room reads, a page a call; `start` writes the indexes and `prune` takes runs out of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.store.connection import Links


class RunFacts(NamedTuple):
    """What runs are filtered by; times in ms of the server's clock."""

    pipeline: str
    state: str
    tenant: str
    key: str | None
    ended_at_ms: int | None


class Indexed(NamedTuple):
    """A run in an index."""

    run: str
    started_at_ms: int


class Index:
    """The indexes of one shard, newest run first.

    An index is named by the attribute (`name=value`) of its runs; `None` has all runs.
    """

    def __init__(self, links: Links) -> None:
        self.links = links

    def _name(self, attribute: str | None) -> str:
        keys = self.links.keys
        return (
            keys.name("runs") if attribute is None else keys.name("attribute", attribute=attribute)
        )

    def smallest(self, attributes: Sequence[str]) -> str | None:
        """The attribute that the fewest runs have; None without any."""
        sizes = self.links.commands([("ZCARD", self._name(one)) for one in attributes])
        return min(zip(sizes, attributes, strict=True), default=(0, None))[1]

    def rank_of(self, attribute: str | None, *, until_ms: int | None, after: Indexed | None) -> int:
        """Where to begin: behind `after`, else at the first run that started before `until_ms`."""
        name = self._name(attribute)
        if after is not None:
            rank: int | None = self.links.command("ZREVRANK", name, after.run)
            if rank is not None:
                return rank + 1
            # It was pruned meanwhile: at its moment, where those after it in order are passed over.
            return int(self.links.command("ZCOUNT", name, f"({after.started_at_ms}", "+inf"))
        if until_ms is None:
            return 0
        return int(self.links.command("ZCOUNT", name, until_ms, "+inf"))

    def page(self, attribute: str | None, rank: int, at_most: int) -> list[Indexed]:
        """Runs from a rank on, newest first."""
        found = self.links.command(
            "ZRANGE", self._name(attribute), rank, rank + at_most - 1, "REV", "WITHSCORES"
        )
        return [
            Indexed(run.decode(), int(float(score)))
            for run, score in zip(found[::2], found[1::2], strict=True)
        ]

    def having(self, attributes: Sequence[str], runs: Sequence[str]) -> list[bool]:
        """Whether each run has all the attributes."""
        if not runs:
            return []
        scores = self.links.commands([("ZMSCORE", self._name(one), *runs) for one in attributes])
        return [all(seen[i] is not None for seen in scores) for i in range(len(runs))]

    def facts(self, runs: Sequence[str]) -> list[RunFacts | None]:
        """What runs are filtered by, in one write; None for those that are gone."""
        fields = ("pipeline", "state", "tenant", "key", "ended")
        replies = self.links.commands(
            [("HMGET", self.links.keys.name("run", run=run), *fields) for run in runs]
        )
        return [_facts(reply) for reply in replies]


def _facts(reply: list[bytes | None]) -> RunFacts | None:
    pipeline, state, tenant, key, ended = reply
    if state is None:
        return None
    return RunFacts(
        (pipeline or b"").decode(),
        state.decode(),
        (tenant or b"").decode(),
        None if key is None else key.decode(),
        int(ended) if ended else None,
    )
