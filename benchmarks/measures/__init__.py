"""The measures. One file each, all of the same shape:

`NAME`, `ROWS` (metric to Row: unit, which way is better, target), and
`run(bench, peer, quick) -> dict[metric, float]`, one round of one peer on a fresh server.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.machine import Bench
from benchmarks.peers import Peer


@dataclass(frozen=True, slots=True)
class Row:
    """How a metric is shown and judged.

    Attributes:
        more_is_better: Decides which way a ratio is turned, so that above 1 is always better.
        at_least: Least ratio to stock that is demanded of Callboard, or None.
        at_most: Greatest value that is demanded of Callboard, or None.
        digits: Digits behind the point.
    """

    more_is_better: bool = True
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 0


class Measure(Protocol):
    """The shape of a measure's module."""

    NAME: str
    ROWS: Mapping[str, Row]
    PEERS: tuple[str, ...]

    def run(self, bench: Bench, peer: Peer, quick: bool) -> dict[str, float]: ...


NAMES = (
    "pipelines",
    "drain",
    "send",
    "latency",
    "fanout",
    "memory",
    "idle",
    "fetch_cost",
    "each",
    "timers",
)
_MODULES = {"each": "each_scale"}


def known() -> dict[str, Measure]:
    """Give all measures by name, in the order of the report."""
    return {
        name: importlib.import_module(f"{__name__}.{_MODULES.get(name, name)}") for name in NAMES
    }  # type: ignore[misc]
