"""Progress for people, on standard error: a bar on a terminal, elsewhere a line every 5 s."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.cli.output import aside, say

_LINE_EVERY_S = 5.0


class RunProgress:
    """Shows how many of the expected runs have ended. A context manager.

    Args:
        total: How many are expected.
        label: What they are.
    """

    def __init__(self, total: int, label: str) -> None:
        self._total = total
        self._label = label
        self._bar: Progress | None = None
        self._said_at = self._begun_at = time.monotonic()

    def __enter__(self) -> Self:
        console = aside()
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                console=console,
            )
            self._task = self._bar.add_task(self._label, total=self._total, rate="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, started: int, ended: int, failed: int) -> None:
        """Tells how many runs have started, ended, and ended badly."""
        now = time.monotonic()
        rate = f"{ended / max(now - self._begun_at, 0.001):,.0f} runs/s"
        rate += f", {failed:,} failed" if failed else ""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=ended, total=max(self._total, started), rate=rate
            )
        elif now - self._said_at >= _LINE_EVERY_S:
            self._said_at = now
            say(f"{self._label}: {started:,} started, {ended:,} ended, {rate}")
