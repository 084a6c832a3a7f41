"""Plans with live runs, and whether a version of the code can end them. Changes nothing.

The index of runs is walked page by page when somebody asks; a hop counts nothing for it.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import msgspec

from engine.store.store import Store
from engine.workflow.compatibility import Strand, Trouble, strands
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.run import RunState

_PAGE = 500
LOOKED_AT_MOST = 1_000_000


class LivePlan(NamedTuple):
    """A plan that runs are on now.

    Attributes:
        hash: of the plan.
        pipeline: or the stage, where it was sent alone.
        live: runs on it that have not ended.
        since_ms: when the oldest of them began.
        in_code: whether the code at hand still compiles this very plan.
    """

    hash: str
    pipeline: str
    live: int
    since_ms: int
    in_code: bool


class LivePlans(NamedTuple):
    """Plans with live runs, most runs first; `complete` unless there were more runs to look at."""

    plans: list[LivePlan]
    complete: bool


class Stranding(NamedTuple):
    """A plan with live runs and one reason why they would strand."""

    plan: LivePlan
    strand: Strand


def live(store: Store, code: Registry, *, looked_at_most: int = LOOKED_AT_MOST) -> LivePlans:
    """Counts the live runs of every plan.

    Args:
        store: Where they are.
        code: The definitions at hand.
        looked_at_most: How many runs of the index to look at, newest first.
    """
    compiled = {one.plan().hash for held in (code.pipelines, code.stages) for one in held.values()}
    found: dict[str, LivePlan] = {}
    ids, looked = store.runs.all(page=_PAGE), 0
    while page := list(islice(ids, min(_PAGE, looked_at_most - looked))):
        looked += len(page)
        for head in store.runs.heads(page):
            if head is None or head.state != RunState.RUNNING:
                continue
            known = found.get(head.plan)
            count, since = (known.live, known.since_ms) if known else (0, head.started_at_ms)
            since = min(since, head.started_at_ms)
            found[head.plan] = LivePlan(
                head.plan, head.pipeline, count + 1, since, head.plan in compiled
            )
    by_count = sorted(found.values(), key=lambda plan: (-plan.live, plan.pipeline, plan.hash))
    return LivePlans(by_count, next(ids, None) is None)


def check(store: Store, code: Registry, plans: LivePlans) -> list[Stranding]:
    """Says which live runs this code could not end, and why; one entry a reason."""
    return [
        Stranding(plan, strand)
        for plan in plans.plans
        if not plan.in_code
        for strand in _strands(store, code, plan)
    ]


def _strands(store: Store, code: Registry, live_plan: LivePlan) -> list[Strand]:
    plan = _stored(store, live_plan.hash)
    if plan is None:
        told = "it is not stored, or was written by a newer engine."
        remedy = "let the workers that have it end its runs"
        return [Strand(Trouble.MISSING_PLAN, live_plan.hash, live_plan.hash, told, remedy)]
    return strands(plan, code, lambda child: _stored(store, child))


def _stored(store: Store, plan: str) -> Plan | None:
    raw = store.runs.plan(plan)
    try:
        return None if raw is None else Plan.from_json(raw)
    except msgspec.DecodeError:
        return None
