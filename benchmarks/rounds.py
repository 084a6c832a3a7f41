"""Interleaved rounds: stock, ours, stock, ours, ... each on a server of its own; then medians.

Owns: the order of runs and what is kept of them. Interleaving lets a slow minute of the machine hit
every peer alike.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.machine import Bench
from benchmarks.measures import Measure, Row
from benchmarks.peers import Peer
from tests.servers import ThrowawayServer


@dataclass(slots=True)
class Case:
    """One measure, on free or pinned cores, with what its rounds gave.

    Attributes:
        results: Peer name to a list of rounds, each metric to value.
        failures: Peer name to the message of the first round that failed.
    """

    measure: Measure
    cores: frozenset[int] | None = None
    results: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The measure's name, and whether its worker was held to one core."""
        return self.measure.NAME + (", worker on one core" if self.cores else "")

    @property
    def rows(self) -> Mapping[str, Row]:
        """The metrics of the measure."""
        return self.measure.ROWS

    def medians(self) -> dict[str, dict[str, float]]:
        """Give the median of each metric over the rounds, by peer."""
        return {
            peer: {name: median(one[name] for one in rounds) for name in rounds[0]}
            for peer, rounds in self.results.items()
            if rounds
        }


def cases(measures: Iterable[Measure]) -> Iterator[Case]:
    """Give every measure once, and those marked PINNED again with the worker on one core."""
    for measure in measures:
        yield Case(measure)
        if getattr(measure, "PINNED", False) and (os.cpu_count() or 1) > 1:
            yield Case(measure, cores=frozenset({min(os.sched_getaffinity(0))}))


def play(
    case: Case, peers: Mapping[str, Peer], rounds: int, quick: bool, server: str | None
) -> None:
    """Run all rounds of a case; a peer that fails once is left out of the rounds that follow."""
    contestants = [peers[n] for n in case.measure.PEERS if n in peers and not peers[n].missing]
    for number in range(1 if getattr(case.measure, "ONCE", False) else rounds):
        for peer in contestants:
            if peer.name in case.failures:
                continue
            print(f"  {case.title}: round {number + 1}, {peer.name}", file=sys.stderr, flush=True)
            try:
                result = _one(case, peer, quick, server)
            except Exception as error:  # noqa: BLE001 - shown in the table; the others go on
                case.failures[peer.name] = f"{error}\n" + "\n".join(getattr(error, "__notes__", ()))
                continue
            case.results.setdefault(peer.name, []).append(result)


def _one(case: Case, peer: Peer, quick: bool, server: str | None) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="callboard-bench-") as scratch,
        ThrowawayServer(server, appendfsync="everysec") as running,
    ):
        return case.measure.run(Bench(running, Path(scratch), case.cores), peer, quick)
