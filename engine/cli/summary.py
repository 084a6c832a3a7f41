"""The end of `run` and `demo`: what a person wants to know, and the same as one JSON document."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.cli.output import plain, print_json, screen, shown_ms, table
from engine.cli.run_tree import tree_of
from engine.control.feeding import Refusal
from engine.control.follow import Follower
from engine.store.runs import RunRecord

_SHOWN = 10


class Summary(NamedTuple):
    """What came of one file.

    Attributes:
        fed: Lines times repetitions.
        new: Runs that were started.
        duplicates: Lines whose key belonged to a run already.
        sample: One of the runs, with its stages.
        traces: Where the traces are, in words.
    """

    pipeline: str
    fed: int
    new: int
    duplicates: int
    refused: list[Refusal]
    follower: Follower
    seconds: float
    sample: RunRecord | None
    traces: str

    @property
    def unfinished(self) -> int:
        """How many runs had not ended when the wait was over."""
        return len(self.follower.open)

    @property
    def good(self) -> bool:
        """Whether every line became a run and every run completed."""
        bad_ends = sum(n for state, n in self.follower.states.items() if state != "completed")
        return not (self.refused or self.follower.lost or self.unfinished or bad_ends)

    def document(self) -> dict[str, Any]:
        """Returns the summary ready for JSON."""
        follower = self.follower
        attempts = sum(times.run.count for times in follower.stages.values())
        return {
            "pipeline": self.pipeline,
            "ok": self.good,
            "fed": self.fed,
            "runs": {"new": self.new, "duplicates": self.duplicates, "states": follower.states,
                     "lost": follower.lost, "failed": follower.failed,
                     "unfinished": self.unfinished},
            "refused": plain(self.refused),
            "seconds": round(self.seconds, 3),
            "runs_per_s": round(self.new / self.seconds, 1) if self.seconds else None,
            "stages_per_s": round(attempts / self.seconds, 1) if self.seconds else None,
            "retried": follower.retried,
            "stages": [dict(zip(_COLUMNS, row, strict=True)) for row in self.stage_rows()],
            "sample": plain(self.sample),
            "traces": self.traces,
        }  # fmt: skip

    def stage_rows(self) -> list[tuple[str, int, int, int, int, int]]:
        """Returns a row a stage: name, how many, wait p50 and p95, run p50 and p95, in ms."""
        return [
            (stage, run.count, wait.percentile(0.5), wait.percentile(0.95),
             run.percentile(0.5), run.percentile(0.95))
            for stage, (wait, run) in self.follower.stages.items()
        ]  # fmt: skip


_COLUMNS = ("stage", "count", "wait_p50_ms", "wait_p95_ms", "run_p50_ms", "run_p95_ms")


def show(summary: Summary, *, as_json: bool) -> None:
    """Prints a summary on standard output."""
    if as_json:
        print_json(summary.document())
        return
    out = screen()
    _show_runs(summary)
    if rows := summary.stage_rows():
        out.print()
        table(
            ("stage", ">done", ">wait p50", ">p95", ">run p50", ">p95"),
            [(row[0], row[1], *(shown_ms(value) for value in row[2:])) for row in rows],
        )
    if summary.sample is not None:
        out.print()
        out.print("One of the runs:")
        out.print(tree_of(summary.sample))
    out.print()
    out.print(f"Traces: {summary.traces}", markup=False)


def _show_runs(summary: Summary) -> None:
    out, follower = screen(), summary.follower
    states = ", ".join(f"{number:,} {state}" for state, number in sorted(follower.states.items()))
    out.print(
        f"{summary.pipeline}: {states or 'no run'}", style="bold" if summary.good else "bold red"
    )
    words = [f"{summary.new:,} new", f"{summary.duplicates:,} known already"]
    words += [f"{number:,} {word}" for number, word in (
        (len(follower.lost), "LOST"), (summary.unfinished, "unfinished"),
        (len(summary.refused), "refused"), (follower.retried, "retries")) if number]  # fmt: skip
    out.print(", ".join(words))
    if summary.new and summary.seconds:
        stages = sum(times.run.count for times in follower.stages.values())
        out.print(
            f"{shown_ms(summary.seconds * 1000)}: {summary.new / summary.seconds:,.0f} runs/s, "
            f"{stages / summary.seconds:,.0f} stages/s"
        )
    for refusal in summary.refused[:_SHOWN]:
        out.print(
            f"line {refusal.number} refused [{refusal.code}]: {refusal.problem}", markup=False
        )
    for run in [*follower.lost[:_SHOWN], *follower.failed[:_SHOWN]]:
        out.print(f"look at it: callboard show {run}")
