"""What people and machines read: tables and words on a terminal, JSON on standard output.

With `--json`, standard output holds JSON and nothing else; progress and words go to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]

_PIPE_WIDTH = 200
"""Columns where nobody looks: wide enough that a line stays a line."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


def screen() -> Console:
    """Standard output for people. Made anew each time: tests and pipes change it."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def aside() -> Console:
    """Standard error, for progress and remarks."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A remark for people, on standard error."""
    aside().print(text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on one line; named tuples become objects."""
    sys.stdout.write(_encode(plain(value)).decode() + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """Returns the value with named tuples as dictionaries, in any depth."""
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(part) for part in value]
    return value


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    empty: str = "nothing",
) -> None:
    """A table on standard output; a column whose name begins with `>` is aligned to the right."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    screen().print(made if made.row_count else empty, markup=False)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def shown_ms(took_ms: float | None) -> str:
    """A duration as people read it: `3 ms`, `1.2 s`, `4 m 05 s`, `2 h 10 m`."""
    if took_ms is None:
        return "-"
    if took_ms < 1_000:
        return f"{took_ms:.0f} ms"
    seconds = took_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def shown_time(at_ms: int | None) -> str:
    """A moment of the server's clock in local time."""
    if not at_ms:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
