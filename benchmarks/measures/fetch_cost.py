"""What a fetch costs inside the store: 1 against 100,000 tenants, 1,000 against 1,000,000 queued.

Direct calls of the store, no worker. Stock has neither tenants nor a fetch of the same meaning, so
this measures Callboard alone; the demand is on the ratio between its own two ends.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.machine import Bench, send
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "fetch cost"
PEERS = ("callboard",)
ONCE = True
ROWS = {
    "us/msg, 1 tenant": Row(more_is_better=False, digits=1),
    "us/msg, 100k tenants": Row(more_is_better=False, digits=1),
    "ratio, tenants": Row(more_is_better=False, at_most=1.3, digits=2),
    "us/msg, 1k queued": Row(more_is_better=False, digits=1),
    "us/msg, 1M queued": Row(more_is_better=False, digits=1),
    "ratio, queued": Row(more_is_better=False, at_most=1.3, digits=2),
}


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Fill and fetch in the sender; see `workloads/store_fetch.py`."""
    peer = replace(peer, workload="benchmarks.workloads.store_fetch")
    many_tenants, much = (10_000, 100_000) if quick else (100_000, 1_000_000)
    cases = [(1, many_tenants), (many_tenants, many_tenants), (1, 1_000), (1, much)]
    one, crowd, short, long = send(bench, peer, "fetch_us", timeout_s=1_800, cases=cases)
    return {
        "us/msg, 1 tenant": one,
        "us/msg, 100k tenants": crowd,
        "ratio, tenants": crowd / one,
        "us/msg, 1k queued": short,
        "us/msg, 1M queued": long,
        "ratio, queued": long / short,
    }
