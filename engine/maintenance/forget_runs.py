"""Ended runs beyond the number that the queue they began in keeps, newest first.

Owns: which runs are beyond, a bounded number a pass. Must not: forget a run that a key or a letter
still needs: the store looks at that itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from engine.config import QueuePolicy, RetentionPolicy
from engine.maintenance.duty import Maintained
from engine.workflow.plan import Plan

LEFT_ALONE_MS = 3_600_000
"""So long after its end a run stays in any case: somebody may be on the way to its result."""

_A_PASS = 20_000
_A_CALL = 50


def forget_beyond(engine: Maintained, now_ms: int) -> int:
    """Forgets runs beyond the counts of their queues; returns how many went."""
    # Looked up before the first goes: the index is read by rank.
    beyond = list(islice(_beyond(engine, now_ms), _A_PASS))
    slices = (beyond[at : at + _A_CALL] for at in range(0, len(beyond), _A_CALL))
    return sum(engine.store.runs.forget(some) for some in slices)


def _beyond(engine: Maintained, now_ms: int) -> Iterator[str]:
    seen: Counter[tuple[str, str]] = Counter()
    policies: dict[str, QueuePolicy] = {}  # of plans
    for page in engine.store.runs.pages():
        for run, head in zip(page, engine.store.runs.heads(page), strict=True):
            if head is None or head.ended_at_ms is None:
                continue
            policy = policies.get(head.plan)
            if policy is None:
                policy = policies[head.plan] = _policy_of(engine, head.plan)
            most = _most(policy.retention, head.state)
            seen[policy.name, head.state] += 1
            left_alone = head.ended_at_ms > now_ms - LEFT_ALONE_MS
            if most is not None and seen[policy.name, head.state] > most and not left_alone:
                yield run


def _most(retention: RetentionPolicy, state: str) -> int | None:
    if state == "completed":
        return retention.completed_count
    return retention.failed_count if state == "failed" else None


def _policy_of(engine: Maintained, plan: str) -> QueuePolicy:
    """The policy of the queue that runs of a plan begin in."""
    raw = engine.store.runs.plan(plan)
    return engine.settings.policy(Plan.from_json(raw).first_queue if raw else "default")
