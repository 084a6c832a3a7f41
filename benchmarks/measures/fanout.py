"""1 -> 1,000 -> 1 with results: seconds from the send to the stage that follows the join.

Stock is a `group` with GroupCallbacks, and Results on each member; that its last actor does not
read the thousand results back is in its favour. Callboard's last stage receives them all.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from benchmarks.machine import Bench, WorkerProcess, send
from benchmarks.marks import Marks
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "1 -> 1,000 -> 1"
PEERS = ("stock", "tuned", "callboard")
ROWS = {"fan-out and join s": Row(more_is_better=False, at_most=0.3, digits=3)}
MEMBERS = 1_000


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Run several one after another; give the median."""
    rounds = 3 if quick else 5
    Marks(bench.marks_path, rounds)
    peer = replace(peer, workload=peer.fan_workload or peer.workload)
    with WorkerProcess(bench, peer) as worker:
        worker.wait_until(lambda: "ready for action" in worker.log_tail(), 30, "boot")
        taken = send(bench, peer, "fan_out", members=MEMBERS, rounds=rounds)
    return {"fan-out and join s": median(taken)}
