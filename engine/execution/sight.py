"""A run as people see it: what the store has recorded, and what waits or runs at this moment."""

from __future__ import annotations

from engine.errors import UnknownPlan
from engine.execution.plans import Plans
from engine.store.runs import RunRecord, Runs, StageRecord, Standing
from engine.workflow.nodes import JoinNode, PagesNode, RelayNode, StageNode
from engine.workflow.plan import Plan
from engine.workflow.run import JoinView, RunState, RunView, StageView


def seen(record: RunRecord, runs: Runs, plans: Plans) -> RunView:
    """Returns the view of a run; its plan is None where the store no longer has it.

    Items of an each and rounds of a repeat that wait or run now are not looked for one by one.
    """
    plan = _plan(record, plans)
    state = RunState(record.state)
    standing = Standing({}, {})
    if plan is not None and not state.ended:
        standing = _standing(record, runs, plan)
    return RunView(
        id=record.id,
        pipeline=record.pipeline,
        state=state,
        tenant=record.tenant,
        key=record.key,
        started_at_ms=record.started_at_ms,
        ended_at_ms=record.ended_at_ms,
        stages=(*map(_ended, record.stages), *_open(standing, plan)),
        joins=tuple(
            JoinView(position=at, arrived=arrived, members=None if members < 0 else members)
            for at, (arrived, members) in standing.joins.items()
        ),
        plan=plan,
        attributes=record.attributes,
        progress=record.progress,
        replay_of=record.replay_of,
    )


def _plan(record: RunRecord, plans: Plans) -> Plan | None:
    try:
        return plans.get(record.plan)
    except UnknownPlan:
        return None


def _standing(record: RunRecord, runs: Runs, plan: Plan) -> Standing:
    """Asks for what has not ended: the plan says which messages and joins there can be."""
    ended = {stage.position for stage in record.stages}
    messages = [
        str(number)
        for number, node in enumerate(plan.nodes)
        if isinstance(node, StageNode | RelayNode) and str(number) not in ended
    ]
    joins = [str(number) for number, node in enumerate(plan.nodes) if isinstance(node, JoinNode)]
    pages = [f"{n}.0" for n, node in enumerate(plan.nodes) if isinstance(node, PagesNode)]
    return runs.standing(record.id, [*messages, *pages], joins)


def _ended(stage: StageRecord) -> StageView:
    return StageView(
        position=stage.position,
        stage=stage.stage,
        state=stage.state,
        attempts=stage.attempt,
        wait_ms=stage.wait_ms,
        run_ms=stage.run_ms,
    )


def _open(standing: Standing, plan: Plan | None) -> list[StageView]:
    views: list[StageView] = []
    for position, failed in standing.open.items():
        node = plan.nodes[int(position.partition(".")[0])] if plan else None
        name = node.stage if isinstance(node, StageNode | RelayNode | PagesNode) else ""
        views.append(StageView(position=position, stage=name, state="open", attempts=failed + 1))
    return views
