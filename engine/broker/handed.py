"""A message in a worker's hands: Dramatiq's proxy around one delivery.

The room owns the translation from a delivery to what Dramatiq's worker handles, and back to an
ending.
"""

from __future__ import annotations

import json
import time
from typing import Any

from dramatiq.broker import MessageProxy
from dramatiq.message import Message

from engine.store.entries import Delivery, Ending, Outgoing, text
from engine.store.wire import Wire, input_of, stage_body_of
from engine.workflow.attempt import Attempt
from engine.workflow.edges import End
from engine.workflow.outcome import Cancelled, Caught, Dead, Done, Failure, RetryAt, Snoozed

# A stage delivery that ends without an outcome was cut off by a middleware or an interrupt.
_NO_OUTCOME_DELAY_MS = 1_000
_REFUSALS_AT_MOST = 12


class StageMessage(Message[Any]):
    """A Dramatiq message whose one argument is the attempt; it never shows the payload."""

    def __str__(self) -> str:
        return f"{self.actor_name}({self.message_id})"

    __repr__ = __str__


class Handed(MessageProxy):
    """One delivery on its way through Dramatiq's worker.

    Attributes:
        delivery: The lease.
        attempt: For stages, the attempt that the actor settles.
        outbox: Messages that leave with the commit.
        handed_at: Monotonic seconds when the process got it.
        begun_at: Monotonic seconds when a thread took it up; 0.0 before.
        sick: Why it cannot be processed at all, or None.
        refused: Why something that had to leave with the commit could not, or None.
    """

    def __init__(self, message: Message[Any], delivery: Delivery, attempt: Attempt | None) -> None:
        super().__init__(message)
        self.delivery = delivery
        self.attempt = attempt
        self.outbox: list[Outgoing] = []
        self.begun_at = 0.0
        self.handed_at = time.monotonic()
        self.sick: tuple[str, str] | None = None
        self.refused: Exception | None = None
        # Dramatiq reads these several times a message; the proxy's __getattr__ is slow.
        self.queue_name = message.queue_name
        self.actor_name = message.actor_name
        self.message_id = message.message_id
        self.options = message.options
        self.args = message.args
        self.kwargs = message.kwargs

    def __str__(self) -> str:
        return f"{self.actor_name}({self.message_id})"

    def __repr__(self) -> str:
        return f"<handed {self}>"

    @property
    def run(self) -> str | None:
        """The run it belongs to; None for a plain message."""
        return self.attempt.run_id if self.attempt else None

    @property
    def goes_with_run(self) -> bool:
        """Whether it is dropped when its run is cancelled: what undoes is not."""
        return self.delivery.kind not in "du"


def hand(delivery: Delivery, now_ms: int) -> Handed:
    """Turns a delivery into what the worker handles; one that cannot be read comes back `sick`."""
    try:
        if delivery.kind == "d":
            return Handed(_plain(delivery), delivery, None)
        if delivery.kind == "?":
            raise ValueError("the header line cannot be read")  # noqa: TRY301
        return _stage(delivery, now_ms)
    except Exception as error:  # noqa: BLE001 - it must hurt this message alone
        sick = Handed(
            StageMessage(delivery.queue, "unreadable", (), {}, {}, delivery.id, 0), delivery, None
        )
        sick.sick = ("undecodable", f"{type(error).__name__}: {str(error)[:200]}")
        return sick


def _plain(delivery: Delivery) -> Message[Any]:
    message = Message.decode(delivery.body)
    if not _well_formed(message):
        raise TypeError("a field of the message has a wrong type")
    message.options.pop("eta", None)  # the store has waited; Dramatiq must not again
    if message.queue_name != delivery.queue:
        message = message.copy(queue_name=delivery.queue)
    return message


def _well_formed(message: Message[Any]) -> bool:
    return (
        type(message.actor_name) is str
        and type(message.options) is dict
        and type(message.kwargs) is dict
        and isinstance(message.args, (list, tuple))
    )


def _stage(delivery: Delivery, now_ms: int) -> Handed:
    template = delivery.inputs[0] if delivery.kind == "e" and delivery.inputs else delivery.body
    body = stage_body_of(template)
    results = delivery.results
    payload = b"" if results else input_of(delivery.kind, body, delivery.inputs)
    if payload is None:
        raise ValueError("the results that the message refers to are gone")
    run, _, position = delivery.id.partition(":")
    attempt = Attempt(
        run_id=run,
        tenant=delivery.tenant,
        plan_hash=body.plan,
        stage=body.stage,
        position=position,
        queue=delivery.queue,
        number=delivery.attempt,
        payload=payload,
        token=delivery.token,
        trace=body.trace,
        enqueued_at_ms=delivery.due_at_ms,
        wait_ms=max(now_ms - delivery.due_at_ms, 0),
        unread=results,
    )
    # The frozen dataclass's own constructor costs more than all of the rest here.
    message = object.__new__(StageMessage)
    message.__dict__.update(
        queue_name=delivery.queue,
        actor_name=body.stage,
        args=(attempt,),
        kwargs={},
        options={"run": run, "tenant": delivery.tenant, "attempt": delivery.attempt},
        message_id=delivery.id,
        message_timestamp=delivery.due_at_ms,
    )
    return Handed(message, delivery, attempt)


def ending_of(handed: Handed, wire: Wire) -> Ending:
    """How a processed delivery ends."""
    delivery, attempt = handed.delivery, handed.attempt
    took_ms = int((time.monotonic() - handed.begun_at) * 1000) if handed.begun_at else 0
    if handed.sick:
        reason, detail = handed.sick
        return _ended(
            delivery, "dead", took_ms, reason=reason, story=_story(Failure(reason, detail, ""))
        )
    if handed.refused is not None:
        return _outbox_refused(delivery, took_ms, handed.refused)
    outbox = [message.in_outbox() for message in handed.outbox]
    if attempt is None:
        if handed.failed:
            story = _story(_failure_of(handed))
            return _ended(delivery, "dead", took_ms, reason="rejected", story=story, outbox=outbox)
        return _ended(delivery, "done", took_ms, outbox=outbox)
    return _stage_ending(delivery, attempt, took_ms, outbox, wire)


def _outbox_refused(delivery: Delivery, took_ms: int, error: Exception) -> Ending:
    """What should have left with the commit could not: nothing leaves, the delivery comes again."""
    story = _story(Failure.of(error))
    if delivery.attempt >= _REFUSALS_AT_MOST:
        return _ended(delivery, "dead", took_ms, reason="outbox_refused", story=story)
    delay_ms = min(_NO_OUTCOME_DELAY_MS * 2 ** (delivery.attempt - 1), 300_000)
    return _ended(delivery, "retry", took_ms, delay_ms=delay_ms, story=story)


def _stage_ending(
    delivery: Delivery, attempt: Attempt, took_ms: int, outbox: list[tuple[Any, ...]], wire: Wire
) -> Ending:
    outcome = attempt.outcome
    common: dict[str, Any] = {
        "wait_ms": str(attempt.wait_ms),
        "outbox": outbox,
        "stage": attempt.stage,
    }
    if type(outcome) is Done:
        edges = wire.edges(attempt.plan_hash, attempt.trace, outcome.edges)
        # The last result of a run is kept as the run's own.
        ends = bool(outcome.edges) and type(outcome.edges[0]) is End
        result = False if ends else text(outcome.result)
        kept = text(attempt.payload) if outcome.bears_input else False
        return _ended(delivery, "done", took_ms, edges=edges, result=result, input=kept, **common)
    if type(outcome) is RetryAt:
        story = _story(outcome.error)
        return _ended(delivery, "retry", took_ms, delay_ms=outcome.delay_ms, story=story, **common)
    if type(outcome) is Dead:
        story = _story(outcome.error)
        return _ended(delivery, "dead", took_ms, reason=outcome.reason, story=story, **common)
    if type(outcome) is Caught:
        edges = wire.edges(attempt.plan_hash, attempt.trace, outcome.edges)
        return _ended(delivery, "caught", took_ms, edges=edges, reason=outcome.reason, **common)
    if type(outcome) is Cancelled:
        return _ended(delivery, "drop", took_ms, **common)
    delay_ms = outcome.delay_ms if type(outcome) is Snoozed else _NO_OUTCOME_DELAY_MS
    return _ended(delivery, "snooze", took_ms, delay_ms=delay_ms, **common)


def _ended(delivery: Delivery, verb: str, took_ms: int, **more: Any) -> Ending:
    return Ending(
        delivery.id,
        str(delivery.token),
        delivery.kind,
        delivery.queue,
        delivery.tenant,
        verb,
        str(delivery.attempt),
        run_ms=str(took_ms),
        **more,
    )


def refused(handed: Handed, cause: str) -> Ending:
    """A delivery whose ending the store refuses becomes a dead letter that says so."""
    story = _story(Failure("CommitRefused", cause[:500], ""))
    return _ended(handed.delivery, "dead", 0, reason="commit_refused", story=story)


def released(handed: Handed) -> Ending:
    """A delivery that was never begun goes back to its place."""
    return _ended(handed.delivery, "release", 0)


def dropped(handed: Handed) -> Ending:
    """A delivery of a cancelled run that was never begun."""
    return _ended(handed.delivery, "drop", 0)


def unknown(handed: Handed) -> Ending:
    """A delivery for a stage that this process does not have."""
    stage = handed.actor_name
    story = _story(Failure("UnknownStage", f"no worker has a stage or actor named {stage!r}", ""))
    return _ended(handed.delivery, "unknown", 0, reason="unknown_stage", story=story, stage=stage)


def expired(handed: Handed, why: str) -> Ending:
    """A delivery that waited longer than its queue allows is a dead letter and is not begun."""
    stage = handed.actor_name if handed.attempt else ""
    story = _story(Failure("Expired", why, ""))
    return _ended(handed.delivery, "dead", 0, reason="expired", story=story, stage=stage)


def _failure_of(handed: Handed) -> Failure:
    if handed._exception is not None:
        return Failure.of(handed._exception)
    trace = str(handed.options.get("traceback", ""))
    last = trace.strip().rpartition("\n")[2]
    name, _, message = last.partition(": ")
    return Failure(name or "Rejected", message, trace)


def _story(failure: Failure) -> str:
    told = {"type": failure.type, "message": failure.message, "traceback": failure.traceback}
    return json.dumps({**told, "log": failure.log} if failure.log else told)
