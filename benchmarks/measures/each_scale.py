"""An `each` of 100,000 items against one of 1,000, both read page by page, with a window of 100.

Callboard alone: stock has nothing of the kind. What must not grow with the items is the memory of
the worker and of the server. The results themselves are taken out: the stage that receives all of
them is held back until memory has been read, and the join that keeps them is subtracted, as is the
event stream, which is bounded by itself. The rate is held against a plain drain of no-ops.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import redis

from benchmarks.drained import drain
from benchmarks.machine import Bench, WorkerProcess, send
from benchmarks.marks import Marks
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "each of 100,000"
PEERS = ("callboard",)
ROWS = {
    "each, items /s": Row(),
    "plain drain /each rate": Row(more_is_better=False, at_most=1 / 0.6, digits=2),
    "worker MB, 1k items": Row(more_is_better=False, digits=1),
    "worker MB, 100k items": Row(more_is_better=False, digits=1),
    "ratio, worker": Row(more_is_better=False, at_most=1.2, digits=2),
    "server MB, 1k items": Row(more_is_better=False, digits=1),
    "server MB, 100k items": Row(more_is_better=False, digits=1),
    "ratio, server": Row(more_is_better=False, at_most=1.2, digits=2),
}
FEW = 1_000
DRAINED = 50_000
LOOK_EVERY_S = 0.2


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Map few items, then many, then drain no-ops, each with a worker of its own."""
    many = 20_000 if quick else 100_000
    drained = DRAINED // 5 if quick else DRAINED
    small, large = _mapped(bench, peer, FEW), _mapped(bench, peer, many)
    plain = drain(bench, peer, "enqueue_noops", drained, hops=drained)["rate"]
    return {
        "each, items /s": large["rate"],
        "plain drain /each rate": plain / large["rate"],
        "worker MB, 1k items": small["worker"],
        "worker MB, 100k items": large["worker"],
        "ratio, worker": large["worker"] / small["worker"],
        "server MB, 1k items": small["server"],
        "server MB, 100k items": large["server"],
        "ratio, server": large["server"] / small["server"],
    }


def _mapped(bench: Bench, peer: Peer, items: int) -> dict[str, float]:
    """One run of so many items; memory in MB at its highest, and items a second."""
    marks = Marks(bench.marks_path, items)
    peer = replace(peer, workload="benchmarks.workloads.callboard_pages")
    server_mb: list[float] = []
    with bench.server.client() as client, WorkerProcess(bench, peer) as worker:
        send(bench, peer, "hold_sums")
        run = send(bench, peer, "map_pages", items=items)

        def visited() -> bool:
            server_mb.append(_server_mb(client))
            time.sleep(LOOK_EVERY_S)
            return marks.complete()

        worker.wait_until(visited, 300, f"{items} items")
        worker_mb = max(map(_peak_mb, worker.pids[1:]))
        in_order = send(bench, peer, "let_sums_go", run=run)
    assert in_order, "an item is missing, double or out of order"
    times = marks.all()
    return {
        "rate": (items - 1) / (max(times) - min(times)) * 1e9,
        "worker": worker_mb,
        "server": max(server_mb),
    }


def _server_mb(client: redis.Redis) -> float:
    bounded = sum(
        int(client.memory_usage(key, samples=0) or 0)  # type: ignore[arg-type]
        for pattern in ("*:join:*", "*:events")
        for key in client.scan_iter(match=pattern, count=10_000)
    )
    return (int(client.info("memory")["used_memory"]) - bounded) / 1e6  # type: ignore[index]


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1e3
    return 0.0
