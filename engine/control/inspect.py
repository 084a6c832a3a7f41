"""Looking at an installation: runs, queues, tenants, workers and dead letters. Changes nothing."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, NamedTuple

from engine.control.search import run_filter, search
from engine.control.why import stage_at
from engine.errors import DeadLetterNotFound, RunNotFound, UnknownQueue
from engine.store.letters import Letter
from engine.store.queues import ConsumerRecord, Limits
from engine.store.runs import RunRecord
from engine.store.store import Store
from engine.workflow.plan import Plan
from engine.workflow.positions import AT_MOST
from engine.workflow.run import RunState

ALL_TENANTS = "*"
"""The name under which the limits of every tenant without its own are kept."""


class QueueView(NamedTuple):
    """A queue now. `oldest_ms` is how long the message at its head has waited; 0 with none."""

    queue: str
    waiting: int
    delayed: int
    leased: int
    dead: int
    paused: bool
    limit: int | None
    oldest_ms: int
    workers: int


class TenantView(NamedTuple):
    """A tenant that waits, works or has limits now. `limits` is None where the default holds."""

    tenant: str
    leased: int
    waiting: int
    limits: Limits | None


def runs(
    store: Store,
    *,
    pipeline: str | None = None,
    state: str | None = None,
    tenant: str | None = None,
    at_most: int = 50,
    looked_at_most: int = 20_000,
) -> list[RunRecord]:
    """Lists runs, newest first; `engine.control.search` knows more filters and pages.

    Args:
        store: Where they are.
        pipeline: Only those of this pipeline or, for a stage sent alone, of this stage.
        state: `running`, `completed`, `failed` or `cancelled`.
        tenant: Only this tenant's.
        at_most: How many to return, up to 1,000.
        looked_at_most: How many to look at for them.

    Raises:
        UnknownState: There is no such state.
    """
    wanted = run_filter(pipeline=pipeline, state=state, tenant=tenant)
    return search(store, wanted, at_most=at_most, looked_at_most=looked_at_most).runs


def run(store: Store, run_id: str) -> RunRecord:
    """Returns one run; the beginning of an id suffices where it is the only one among recent runs.

    Raises:
        RunNotFound: No run, or more than one, is meant.
    """
    record = store.runs.read(run_id)
    if record is None and 4 <= len(run_id) < 32:
        meant = [known for known in islice(store.runs.all(), 10_000) if known.startswith(run_id)]
        record = store.runs.read(meant[0]) if len(meant) == 1 else None
    if record is None:
        raise RunNotFound(run_id)
    return record


def at_work(store: Store, record: RunRecord) -> dict[str, str]:
    """Returns what the stages that have not ended said of their progress, by stage and item."""
    told = list(record.progress)[:AT_MOST] if record.state == RunState.RUNNING else []
    live = [one.position for one in store.whereabouts.live(record.id, told)]
    raw = store.runs.plan(record.plan) if live else None
    if raw is None:
        return {}
    plan = Plan.from_json(raw)
    return {_at_work_name(plan, position): record.progress[position] for position in live}


def _at_work_name(plan: Plan, position: str) -> str:
    item = position.partition(".")[2]
    return stage_at(plan, position) + (f" {item}" if item else "")


def queues(store: Store) -> list[QueueView]:
    """Returns every queue, by name."""
    names = store.queues.names()
    if not names:
        return []
    now_ms = store.queues.now_ms()
    served = [queue for consumer in store.queues.consumers() for queue in consumer.queues]
    return [
        QueueView(*count, store.queues.oldest_ms(count.queue, now_ms), served.count(count.queue))
        for count in store.queues.count_many(names)
    ]


def known_queue(store: Store, queue: str) -> str:
    """Returns the name if the store has that queue; raises UnknownQueue."""
    names = store.queues.names()
    if queue not in names:
        raise UnknownQueue(queue, names)
    return queue


def workers(store: Store) -> list[ConsumerRecord]:
    """Returns the worker processes that beat."""
    return store.queues.consumers()


def tenants(store: Store) -> list[TenantView]:
    """Returns the tenants that wait, work or have limits, by name; `*` stands for all others."""
    leased, limits = store.queues.leased(), store.queues.limits()
    waiting: dict[str, int] = {}
    for queue in store.queues.names():
        for tenant, count in store.queues.runnable(queue).items():
            waiting[tenant] = waiting.get(tenant, 0) + count
    names = sorted({*leased, *limits, *waiting})
    return [
        TenantView(name, leased.get(name, 0), waiting.get(name, 0), limits.get(name))
        for name in names
    ]


def letters(store: Store, *, queue: str | None = None, at_most: int = 50) -> list[Letter]:
    """Returns dead letters, newest first; raises UnknownQueue."""
    names = [known_queue(store, queue)] if queue else store.queues.names()
    found: list[Letter] = []
    for name in names:
        ids = store.letters.newest(name, at_most=at_most)
        found += [letter for letter in map(store.letters.read, ids) if letter is not None]
    return sorted(found, key=lambda letter: -letter.died_at_ms)[:at_most]


def letter(store: Store, message: str) -> Letter:
    """Returns one dead letter by its message id; raises DeadLetterNotFound."""
    found = store.letters.read(message)
    if found is None:
        raise DeadLetterNotFound(message)
    return found


def story_of(letter: Letter) -> dict[str, Any]:
    """Returns what is known of a letter, ready for JSON; the payload as text, not decoded."""
    return {
        "message": letter.message,
        "queue": letter.queue,
        "tenant": letter.tenant,
        "reason": letter.reason,
        "died_at_ms": letter.died_at_ms,
        "attempt": letter.attempt,
        "story": _told(letter.story),
        "errors": [_told(error) for error in letter.errors],
        "body": letter.body.decode(errors="replace"),
    }


def _told(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")
