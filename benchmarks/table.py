"""The report: one line a metric, one column a peer, the ratios, and whether the target is reached.

Owns: the text. A ratio above 1 always means that Callboard is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.measures import Row
from benchmarks.rounds import Case

COLUMNS = ("stock", "tuned", "actors", "traced", "callboard")
HEADINGS = (*COLUMNS, "x stock", "x tuned", "target", "")
NAME_WIDTH = 26
WIDTH = 11
FAILURE_LINES = 6


def report(case: Case) -> str:
    """Give the table of one case, with failures below it."""
    return "\n".join(_case(case)) + "\n"


def _case(case: Case) -> Iterator[str]:
    yield case.title
    yield _line("", HEADINGS)
    yield "-" * (NAME_WIDTH + WIDTH * len(HEADINGS))
    medians = case.medians()
    for name, row in case.rows.items():
        values = {peer: metrics[name] for peer, metrics in medians.items() if name in metrics}
        if values:
            yield _line(name, _cells(values, row))
    for peer, text in case.failures.items():
        last = [line for line in text.splitlines() if line.strip()][-FAILURE_LINES:]
        yield "\n".join([f"! {peer} failed (all of it in --json):", *last])


def _cells(values: Mapping[str, float], row: Row) -> list[str]:
    cells = [f"{values[c]:,.{row.digits}f}" if c in values else "" for c in COLUMNS]
    ratios = [_ratio(values, row, peer) for peer in ("stock", "tuned")]
    cells += ["" if one is None else f"{one:.2f}" for one in ratios]
    return [*cells, _target(row), _verdict(values, row, ratios[0])]


def _ratio(values: Mapping[str, float], row: Row, peer: str) -> float | None:
    ours, theirs = values.get("callboard"), values.get(peer)
    if not ours or not theirs:
        return None
    return ours / theirs if row.more_is_better else theirs / ours


def _target(row: Row) -> str:
    if row.at_least is not None:
        return f">= {row.at_least:g} x"
    return "" if row.at_most is None else f"<= {row.at_most:g}"


def _verdict(values: Mapping[str, float], row: Row, ratio: float | None) -> str:
    if row.at_least is not None and ratio is not None:
        return "ok" if ratio >= row.at_least else "MISSED"
    if row.at_most is not None and "callboard" in values:
        return "ok" if values["callboard"] <= row.at_most else "MISSED"
    return ""


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<{NAME_WIDTH}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)
