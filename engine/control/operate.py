"""Acting on an installation: pause, resume, limit, cancel, redrive, purge.

Each act is one script of the store, or a loop over one, and each is told to the event stream there.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from engine.control.inspect import ALL_TENANTS, known_queue
from engine.errors import (
    CallboardError,
    DeadLetterNotFound,
    OptionInvalid,
    RunNotFound,
    UnknownQueue,
)
from engine.store.queues import Limits
from engine.store.store import Store
from engine.workflow.names import tenant_name

MAX_WEIGHT = 10
_PAGE = 200


class RedriveRefused(CallboardError):
    """A dead letter cannot go back to work; it stays where it is."""

    code = "redrive_refused"

    def __init__(self, message: str, verdict: str) -> None:
        self.message, self.verdict = message, verdict
        super().__init__(f"Dead letter {message!r} stays: {_REASONS.get(verdict, verdict)}.")


_REASONS = {
    "run_gone": "its run is past its retention, cancelled or undone; start the run anew",
    "undecodable": "it has no readable message; purge it",
}


class Redriven(NamedTuple):
    """How many letters of a queue went back to work, and why others stayed, by reason."""

    redriven: int
    stayed: dict[str, int]


def pause(store: Store, queue: str) -> bool:
    """Stops handing out a queue's messages; False if it was paused. Raises UnknownQueue."""
    return _known(store, queue, store.queues.pause(queue))


def resume(store: Store, queue: str) -> bool:
    """Hands out a queue's messages again; False if it was not paused. Raises UnknownQueue."""
    return _known(store, queue, store.queues.resume(queue))


def _known(store: Store, queue: str, changed: bool | None) -> bool:
    if changed is None:
        raise UnknownQueue(queue, store.queues.names())
    return changed


def limit(
    store: Store,
    tenant: str,
    *,
    max_concurrent: int | None = None,
    max_per_minute: int | None = None,
    weight: int = 1,
) -> Limits:
    """Sets what a tenant may use, in place of what was set before; None sets no limit.

    Args:
        store: Where it holds, at once, for every worker.
        tenant: A tenant, or `*` for all that have no limits of their own.
        max_concurrent: Attempts at once over all queues.
        max_per_minute: Attempts begun in any minute.
        weight: Turns it gets for each turn of a tenant of weight 1; 1 to 10.

    Raises:
        TenantInvalid, OptionInvalid: Nothing was changed.
    """
    for name, value in (("max_concurrent", max_concurrent), ("max_per_minute", max_per_minute)):
        if value is not None and value < 1:
            raise OptionInvalid(name, value, "a whole number of 1 or more")
    if not 1 <= weight <= MAX_WEIGHT:
        raise OptionInvalid("weight", weight, f"a whole number from 1 to {MAX_WEIGHT}")
    limits = Limits(max_concurrent, max_per_minute, weight)
    store.queues.limit(_tenant(tenant), limits)
    return limits


def clear_limits(store: Store, tenant: str) -> None:
    """Forgets a tenant's own limits; raises TenantInvalid."""
    store.queues.limit(_tenant(tenant), None)


def _tenant(tenant: str) -> str:
    return tenant if tenant == ALL_TENANTS else tenant_name(tenant)


def cancel(store: Store, run_id: str) -> bool:
    """Cancels a run; False if it had ended before. Raises RunNotFound."""
    state = store.runs.cancel(run_id)
    if state is None:
        raise RunNotFound(run_id)
    return state == "running"


def redrive(store: Store, message: str, body: bytes = b"") -> None:
    """Puts one dead letter back to work with a fresh count of attempts.

    Args:
        store: Where it is.
        message: Its message id.
        body: A corrected message in place of the old one; empty keeps the old.

    Raises:
        DeadLetterNotFound: There is none of this id.
        RedriveRefused: It cannot run; it stays a dead letter.
    """
    verdict = store.letters.redrive(message, body)
    if verdict == "unknown":
        raise DeadLetterNotFound(message)
    if verdict != "redriven":
        raise RedriveRefused(message, verdict)


def redrive_all(store: Store, queue: str) -> Redriven:
    """Puts every dead letter of a queue back to work that can go; raises UnknownQueue."""
    redriven, stayed = 0, Counter[str]()
    # The ids are taken first: a letter that dies again meanwhile is not sent round and round.
    for message in _all_of(store, known_queue(store, queue)):
        verdict = store.letters.redrive(message)
        if verdict == "redriven":
            redriven += 1
        elif verdict != "unknown":
            stayed[verdict] += 1
    return Redriven(redriven, dict(stayed))


def _all_of(store: Store, queue: str) -> list[str]:
    messages: list[str] = []
    while page := store.letters.newest(queue, at=len(messages), at_most=_PAGE):
        messages += page
    return messages


def purge(store: Store, queue: str, *, died_before_ms: int | None = None) -> int:
    """Forgets the dead letters of a queue, or those that died before a time; raises UnknownQueue.

    Returns:
        How many.
    """
    return store.letters.purge(known_queue(store, queue), before_ms=died_before_ms)


def purge_one(store: Store, message: str) -> None:
    """Forgets one dead letter; raises DeadLetterNotFound."""
    letter = store.letters.read(message)
    if letter is None or not store.letters.purge(letter.queue, message=message):
        raise DeadLetterNotFound(message)
