"""A map over pages, for the measure of `each`: the stage behind the join has a queue to itself.

Owns: that pipeline, and holding back the stage that receives all results.
"""

from __future__ import annotations

from benchmarks.marks import mark
from engine import Page, Pipeline, current, each, stage
from engine.bootstrap import Engine
from engine.control import operate
from engine.workflow.run import Run

PAGE = 1_000
WINDOW = 100
SUMS = "sums"


@stage
def page_of(bounds: list[int]) -> Page[int, list[int]]:
    begin, end = bounds
    last = min(begin + PAGE, end)
    return Page(list(range(begin, last)), [last, end] if last < end else None)


@stage
def visit(i: int) -> int:
    mark(i)
    return i


@stage(queue=SUMS)
def in_order(results: list[int]) -> bool:
    return results == list(range(len(results)))


paged = Pipeline("paged", each(visit, window=WINDOW, pages=page_of) | in_order)


def _engine() -> Engine:
    engine = current.get()
    assert isinstance(engine, Engine)
    return engine


def hold_sums() -> None:
    """Let the worker run one of each stage, then hold back what receives all results."""
    paged.start([0, 0]).wait("30s")
    in_order.send([]).wait("30s")
    operate.pause(_engine().store, SUMS)


def map_pages(items: int) -> str:
    """Begin one run over so many items; give its id."""
    return paged.start([0, items]).id


def let_sums_go(run: str) -> bool:
    """Let the last stage run; give whether every item came once and in order."""
    operate.resume(_engine().store, SUMS)
    return bool(Run(run, _engine()).result("120s"))
