"""One run as a tree: its stages in the order they ended, those inside an `each` below it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.tree import Tree

from engine.cli.output import shown_ms, shown_time
from engine.store.runs import RunRecord, StageRecord

_SHOWN_ITEMS = 20
_MARKS = {
    "done": "[green]✓[/]",
    "reused": "[green]↻[/]",
    "dead": "[red]✗[/]",
    "completed": "[green]✓[/]",
    "failed": "[red]✗[/]",
}


def tree_of(run: RunRecord, at_work: Mapping[str, str] | None = None) -> Tree:
    """Returns a run with its stages and their timings.

    Args:
        run: The run.
        at_work: What stages that have not ended said of their progress, by name.
    """
    took = run.ended_at_ms - run.started_at_ms if run.ended_at_ms else None
    end = f"in {shown_ms(took)}" if took is not None else "so far"
    tree = Tree(
        f"{_MARKS.get(run.state, '·')} [bold]{escape(run.pipeline)}[/] {run.state} {end}\n"
        f"[dim]{run.id}, tenant {escape(run.tenant)}"
        f"{f', key {escape(run.key)}' if run.key else ''}, {shown_time(run.started_at_ms)}[/]"
        f"{_told(run)}"
    )
    groups: dict[str, Tree] = {}
    counts: dict[str, int] = {}
    for stage in run.stages:
        if stage.stage.startswith("~"):
            continue
        node, _, item = stage.position.partition(".")
        if not item:
            tree.add(_line(stage))
            continue
        counts[node] = counts.get(node, 0) + 1
        group = groups.get(node)
        if group is None:
            group = groups[node] = tree.add(f"each [bold]{escape(stage.stage)}[/]")
        if counts[node] <= _SHOWN_ITEMS:
            group.add(_line(stage))
    for stage_name, progress in (at_work or {}).items():
        tree.add(f"[yellow]…[/] {escape(stage_name)}  [dim]at {escape(progress)}[/]")
    for node, number in counts.items():
        if number > _SHOWN_ITEMS:
            groups[node].add(f"[dim]and {number - _SHOWN_ITEMS:,} more[/]")
    return tree


def _told(run: RunRecord) -> str:
    """What the caller gave to find the run by, and what it replays."""
    told = [f"{name}={value}" for name, value in run.attributes.items()]
    told += [f"replays {run.replay_of}"] if run.replay_of else []
    return f"\n[dim]{escape(', '.join(told))}[/]" if told else ""


def _line(stage: StageRecord) -> str:
    tries = f", attempt {stage.attempt}" if stage.attempt > 1 else ""
    return (
        f"{_MARKS.get(stage.state, '·')} {escape(stage.stage)}  "
        f"[dim]waited {shown_ms(stage.wait_ms)}, ran {shown_ms(stage.run_ms)}{tries}[/]"
    )
