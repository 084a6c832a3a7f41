"""Drain a queue that was filled beforehand, and what a hop of it costs.

Owns: the order (fill, start the worker, wait for every mark) and the costs a hop. The rate runs
from the first mark to the last, so the start of the worker is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from benchmarks.machine import Bench, WorkerProcess, send
from benchmarks.marks import Marks
from benchmarks.measures import Row
from benchmarks.peers import Peer

COST_ROWS: Mapping[str, Row] = {
    "commands /hop": Row(more_is_better=False, digits=2),
    "scripts /hop": Row(more_is_better=False, digits=3),
    "socket reads /hop": Row(more_is_better=False, digits=3),
    "bytes in /hop": Row(more_is_better=False),
    "bytes out /hop": Row(more_is_better=False),
    "worker CPU us/hop": Row(more_is_better=False),
    "server CPU us/hop": Row(more_is_better=False),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What worker and server have used since they started."""

    commands: float
    scripts: float
    reads: float
    bytes_in: float
    bytes_out: float
    server_cpu_s: float
    worker_cpu_s: float

    @classmethod
    def read(cls, client: redis.Redis, worker: WorkerProcess) -> Usage:
        """Read it now. Commands include those that scripts call inside the server."""
        worker_cpu_s = worker.cpu_s()
        calls = {k: float(v["calls"]) for k, v in client.info("commandstats").items()}  # type: ignore[union-attr]
        stats, cpu = client.info("stats"), client.info("cpu")
        return cls(
            commands=sum(calls.values()),
            scripts=sum(n for k, n in calls.items() if k in ("cmdstat_evalsha", "cmdstat_eval")),
            reads=stats["total_reads_processed"],  # type: ignore[union-attr]
            bytes_in=stats["total_net_input_bytes"],  # type: ignore[union-attr]
            bytes_out=stats["total_net_output_bytes"],  # type: ignore[union-attr]
            server_cpu_s=cpu["used_cpu_user"] + cpu["used_cpu_sys"],  # type: ignore[union-attr]
            worker_cpu_s=worker_cpu_s,
        )


def drain(
    bench: Bench, peer: Peer, verb: str, count: int, hops: int, timeout_s: float = 300
) -> dict[str, float]:
    """Fill the queue by `verb(count=...)`, drain it, and give rate and costs a hop.

    Args:
        hops: How many marks the work leaves, one a hop.

    Raises:
        TimeoutError: A mark is missing after `timeout_s`: something was lost or is far too slow.
    """
    marks = Marks(bench.marks_path, hops)
    send(bench, peer, verb, count=count)
    with bench.server.client() as client, WorkerProcess(bench, peer) as worker:
        worker.wait_until(marks.begun, 30, "first hop")
        done_before = hops - marks.missing()
        before = Usage.read(client, worker)
        worker.wait_until(marks.complete, timeout_s, f"{hops} hops")
        after = Usage.read(client, worker)
    times = marks.all()
    seconds = (max(times) - min(times)) / 1e9
    return {"rate": (hops - 1) / seconds, **_costs(before, after, hops - done_before)}


def _costs(before: Usage, after: Usage, hops: int) -> dict[str, float]:
    def per_hop(name: str) -> float:
        return (getattr(after, name) - getattr(before, name)) / hops

    return {
        "commands /hop": per_hop("commands"),
        "scripts /hop": per_hop("scripts"),
        "socket reads /hop": per_hop("reads"),
        "bytes in /hop": per_hop("bytes_in"),
        "bytes out /hop": per_hop("bytes_out"),
        "worker CPU us/hop": per_hop("worker_cpu_s") * 1e6,
        "server CPU us/hop": per_hop("server_cpu_s") * 1e6,
    }
