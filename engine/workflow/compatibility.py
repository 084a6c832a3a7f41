"""Whether this code can still end the runs of a plan that was compiled by other code.

Owns: the kinds of problems and how each is remedied. Must not: know the store or how many runs
there are.

A plan asks of the code: its stages, its deciders, somebody on its queues, the plans of its child
runs, and that inputs which were good when it was compiled are still taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from engine.errors import TypesUnresolved, did_you_mean
from engine.workflow.decider import Decider
from engine.workflow.narrowing import narrowed
from engine.workflow.plan import Plan, shape_key
from engine.workflow.registry import Registry
from engine.workflow.shapes import shape_of
from engine.workflow.stage import Stage

FindPlan = Callable[[str], Plan | None]
"""Plan hash -> plan, None where there is none."""


class Trouble(StrEnum):
    """What is wrong between a plan and the code."""

    MISSING_STAGE = "missing_stage"
    MISSING_DECIDER = "missing_decider"
    MISSING_QUEUE = "missing_queue"
    MISSING_PLAN = "missing_plan"
    INPUT_CHANGED = "input_changed"


class Strand(NamedTuple):
    """One reason why runs of a plan would strand.

    Attributes:
        trouble: what kind.
        plan: hash of the plan that asks for it; a child's where a child run would strand.
        name: the stage, decider, queue or plan.
        told: what is wrong, in words.
        remedy: what to do about it.
    """

    trouble: Trouble
    plan: str
    name: str
    told: str
    remedy: str


def strands(plan: Plan, code: Registry, find: FindPlan) -> list[Strand]:
    """Return every reason why a run of the plan could not be ended by this code alone.

    Args:
        plan: of runs that have not ended.
        code: the stages and deciders there will be.
        find: gives the plans of child runs.
    """
    found: list[Strand] = []
    checked: set[str] = set()
    waiting = [plan]
    while waiting:
        one = waiting.pop()
        checked.add(one.hash)
        found += _of_plan(one, code)
        for child in one.children():
            stored = find(child)
            if stored is None:
                found.append(_missing_plan(one, child))
            elif child not in checked:
                waiting.append(stored)
    return found


def _of_plan(plan: Plan, code: Registry) -> Iterator[Strand]:
    known: tuple[tuple[Trouble, str, tuple[str, ...], dict[str, Any]], ...] = (
        (Trouble.MISSING_STAGE, "stage", plan.stages(), code.stages),
        (Trouble.MISSING_DECIDER, "decider", plan.deciders(), code.deciders),
    )
    for trouble, kind, names, held in known:
        for name in names:
            if name in held:
                yield from _changed(plan, kind, name, held[name])
            else:
                near = did_you_mean(name, held)
                remedy = f"keep the {kind} until these runs have ended"
                yield Strand(trouble, plan.hash, name, f"{kind} {name!r} is missing.{near}", remedy)
    yield from _unserved(plan, code)


def _changed(
    plan: Plan, kind: str, name: str, taker: Stage[..., Any] | Decider
) -> Iterator[Strand]:
    old = plan.shapes.get(shape_key(name) if isinstance(taker, Decider) else name)
    if old is None:
        return  # compiled by a version that did not tell, or it takes anything
    try:
        misfit = narrowed(old, shape_of(taker.inputs))
    except TypesUnresolved as error:
        misfit = str(error)
    if misfit is not None:
        told = f"{kind} {name!r} no longer takes its old input: {misfit}."
        remedy = f"take the old input too, or give the new {kind} another name"
        yield Strand(Trouble.INPUT_CHANGED, plan.hash, name, told, remedy)


def _unserved(plan: Plan, code: Registry) -> Iterator[Strand]:
    served = {stage.queue for stage in code.stages.values()}
    for queue in plan.queues():
        if queue not in served:
            told = f"no stage is left on queue {queue!r}, so no worker serves it."
            remedy = "keep a stage on the queue until these runs have ended"
            yield Strand(Trouble.MISSING_QUEUE, plan.hash, queue, told, remedy)


def _missing_plan(plan: Plan, child: str) -> Strand:
    told = f"plan {child!r} of its child runs is not stored."
    remedy = "start the child pipeline once from the old code, which stores it"
    return Strand(Trouble.MISSING_PLAN, plan.hash, child, told, remedy)
