"""The peers of the comparison: each is a workload module and the way its worker is run.

Owns: the `Peer` shape. One file a peer; `known()` lists those that can run here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Peer:
    """One contestant.

    Attributes:
        name: Column of the table.
        workload: Module with the actors and the sending functions.
        threads: Worker threads (`dramatiq -t`).
        environment: Extra environment variables of its processes.
        fan_workload: Module for the fan-out, where it is another one.
        load: Multiplies the number of queued jobs: a faster peer gets more, so that each drains for
            a few seconds.
        missing: Why it cannot run here, or "".
    """

    name: str
    workload: str
    threads: int = 8
    environment: Mapping[str, str] = field(default_factory=dict)
    fan_workload: str = ""
    load: int = 1
    missing: str = ""


NAMES = ("stock", "tuned", "callboard", "traced", "actors")


def known() -> dict[str, Peer]:
    """Give all peers by name, in the order of the table's columns."""
    return {name: importlib.import_module(f"{__name__}.{name}").PEER for name in NAMES}
