"""Sending, with no worker running: one by one, and many in one call."""

from __future__ import annotations

from benchmarks.machine import Bench, send
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "sending"
PEERS = ("stock", "callboard", "actors")
ROWS = {"single send /s": Row(at_least=1), "bulk send /s": Row(at_least=5)}


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Send both ways from one thread."""
    scale = 5 if quick else 1
    return {
        **send(bench, peer, "send_single", count=10_000 // scale),
        **send(bench, peer, "send_bulk", count=20_000 // scale),
    }
