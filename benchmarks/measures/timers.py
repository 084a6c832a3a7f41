"""Runs that stand still cost no worker anything, and wake on time.

First 10,000 runs sleep and 10,000 wait for a signal: the worker's CPU and growth meanwhile. Then
10,000 timers are due evenly over ten seconds: how late the stage behind each sleep begins.
Callboard alone; stock keeps delayed messages in the worker's memory.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

from benchmarks.machine import Bench, WorkerProcess, send
from benchmarks.marks import Marks
from benchmarks.measures import Row
from benchmarks.peers import Peer

NAME = "sleep, wait and wake"
PEERS = ("callboard",)
ROWS = {
    "standing still CPU %": Row(more_is_better=False, at_most=1.0, digits=2),
    "worker MB before": Row(more_is_better=False, digits=1),
    "worker MB with 20k runs": Row(more_is_better=False, digits=1),
    "ratio, worker": Row(more_is_better=False, at_most=1.05, digits=3),
    "lateness p50 ms": Row(more_is_better=False, digits=1),
    "lateness p95 ms": Row(more_is_better=False, at_most=25, digits=1),
    "lateness p99 ms": Row(more_is_better=False, digits=1),
}
SETTLE_S, AHEAD_S = 3.0, 5.0


def run(bench: Bench, peer: Peer, quick: bool) -> dict[str, float]:
    """Let runs stand still and watch the worker; then set the timers."""
    count, seconds = (2_000, 4.0) if quick else (10_000, 10.0)
    peer = replace(peer, workload="benchmarks.workloads.callboard_timers")
    marks = Marks(bench.marks_path, count)
    with WorkerProcess(bench, peer) as worker:
        send(bench, peer, "fire_now")
        time.sleep(SETTLE_S)
        before_mb = _resident_mb(worker)
        send(bench, peer, "stand_still", count=count)
        time.sleep(SETTLE_S)
        used_s, began = worker.cpu_s(), time.monotonic()
        time.sleep(seconds)
        still = (worker.cpu_s() - used_s) / (time.monotonic() - began) * 100
        after_mb = _resident_mb(worker)
        due = send(bench, peer, "set_timers", count=count, ahead_s=AHEAD_S, over_s=seconds)
        worker.wait_until(lambda: all(marks.all()[1:]), AHEAD_S + seconds + 30, "all timers")
    late_ms = [(at - then) / 1e6 for at, then in zip(marks.all(), due, strict=True)][1:]
    assert min(late_ms) >= -1, f"a timer fired {-min(late_ms):.1f} ms early"
    cuts = quantiles(late_ms, n=100, method="inclusive")
    return {
        "standing still CPU %": still,
        "worker MB before": before_mb,
        "worker MB with 20k runs": after_mb,
        "ratio, worker": after_mb / before_mb,
        "lateness p50 ms": cuts[49],
        "lateness p95 ms": cuts[94],
        "lateness p99 ms": cuts[98],
    }


def _resident_mb(worker: WorkerProcess) -> float:
    page_mb = 4096 / 1e6
    return (
        max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in worker.pids[1:])
        * page_mb
    )
