"""Starting runs: from a definition and its inputs to what the store begins, and back to handles.

The room owns the packing of a start and the words for a store that did not take it. Which of two
equal starts is first, the store decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from engine.config import Settings
from engine.errors import (
    IdempotentRunFailed,
    NotReplicated,
    OptionInvalid,
    PayloadTooLarge,
    QueueFull,
    ScriptRefused,
)
from engine.execution.plans import Plans
from engine.flows.scope import Scope, nothing_yet
from engine.store.entries import Beginning, Claim, Full, text
from engine.store.store import Store
from engine.store.transit import Depths, Verdict, slices_of
from engine.store.wire import Wire
from engine.telemetry.tracing import Tracer
from engine.workflow.edges import Edge, Send
from engine.workflow.pipeline import Pipeline
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.run import Run, RunState, new_run_id
from engine.workflow.stage import Stage
from engine.workflow.start import Start
from engine.workflow.transitions import begin

Definition = Pipeline | Stage[..., Any]

# Written together before the replies are read: server and client work at the same time.
_SLICES_AT_ONCE = 8


class Terms(NamedTuple):
    """What the policies of a plan's queues say of its runs.

    Attributes:
        depths: Queue to the messages it may hold; queues without a limit are left out.
        keep_ms: How long a run is kept from its end.
        failed_keep_ms: The same if it failed; None leaves it to the process that ends it.
    """

    depths: Depths
    keep_ms: int
    failed_keep_ms: int | None


class Starter:
    """Starts runs of one engine.

    Args:
        plans: Plans by hash.
        definitions: Deciders of a choose.
        wire: Turns edges into the scripts' tuples.
        store: Where runs begin; asked for at the first start.
        settings: Limits and defaults.
        tracer: Makes the spans of sends.
        handle: Makes the handle of a run, given its id and whether it is a duplicate's.
    """

    def __init__(
        self,
        plans: Plans,
        definitions: Registry,
        wire: Wire,
        *,
        store: Callable[[], Store],
        settings: Callable[[], Settings],
        tracer: Callable[[], Tracer],
        handle: Callable[[str, bool], Run],
    ) -> None:
        self._plans = plans
        self._definitions = definitions
        self._wire = wire
        self._store, self._settings, self._tracer = store, settings, tracer
        self._handle = handle
        self._terms_of: dict[str, Terms] = {}

    def one(self, definition: Definition, start: Start) -> Run:
        """Starts one run; raises what `Engine.start` raises."""
        run = new_run_id()
        with self._span(definition, run, start) as trace:  # until the store has answered
            beginning = self._beginning(definition, run, start, trace)
            verdict = self._begin_all(definition, [beginning])[0]
        if type(verdict) is Full:
            raise self._queue_full(verdict)
        holder, state = verdict or (run, RunState.RUNNING)
        if unsafe := self._not_replicated([holder]):
            raise unsafe
        if verdict is None:
            return self._handle(run, False)
        if state == RunState.FAILED:
            raise IdempotentRunFailed(holder, start.key or "of the content")
        return self._handle(holder, True)

    def many(self, definition: Definition, starts: Sequence[Start]) -> list[Run]:
        """Starts runs in bulk; see `Engine.start_many`."""
        runs = [new_run_id() for _ in starts]
        beginnings: list[Beginning] = []
        for run, start in zip(runs, starts, strict=True):
            with self._span(definition, run, start) as trace:
                beginnings.append(self._beginning(definition, run, start, trace))
        verdicts = self._begin_all(definition, beginnings)
        accepted = list(map(_accepted, runs, verdicts))
        unsafe = self._not_replicated(accepted)
        if full := next((verdict for verdict in verdicts if type(verdict) is Full), None):
            raise self._queue_full(full, accepted) from unsafe
        if unsafe:
            raise unsafe
        return [
            self._handle(run, False) if verdict is None else self._handle(verdict[0], True)
            for run, verdict in zip(runs, verdicts, strict=True)
        ]

    def _queue_full(self, full: Full, accepted: Sequence[str | None] = ()) -> QueueFull:
        limit = self._settings().policy(full.queue).max_depth or 0
        return QueueFull(full.queue, full.depth, limit, accepted)

    def _not_replicated(self, runs: Sequence[str | None]) -> NotReplicated | None:
        """Waits until enough replicas have what was started; None if they do, or none has to."""
        replicas = self._store().replicas
        if not replicas.wanted or not any(runs):
            return None
        confirmed = replicas.confirmed()
        if confirmed >= replicas.wanted:
            return None
        return NotReplicated(confirmed, replicas.wanted, replicas.within_ms, runs)

    def _terms(self, definition: Definition) -> Terms:
        plan = definition.plan()
        found = self._terms_of.get(plan.hash)
        if found is None:
            found = self._terms_of[plan.hash] = terms_of(
                plan.first_queue, queues_of(plan), self._settings()
            )
        return found

    def _begin_all(self, definition: Definition, beginnings: list[Beginning]) -> list[Verdict]:
        store = self._store()
        for plan in definition.plans():
            store.runs.put_plan(plan.hash, plan.to_json())
        depths = self._terms(definition).depths
        if len(beginnings) == 1 and not depths and store.transit.start_one(beginnings[0]):
            return [None]
        slices = slices_of([beginning.packed() for beginning in beginnings])
        verdicts: list[Verdict] = []
        for at in range(0, len(slices), _SLICES_AT_ONCE):
            group = slices[at : at + _SLICES_AT_ONCE]
            try:
                verdicts += store.transit.start_slices(group, depths)
            except ScriptRefused as error:
                if error.reason != "PLAN_MISSING":
                    raise
                # The server has lost the plan, and nothing of a slice without it was started.
                for plan in definition.plans():
                    store.runs.forget_plan(plan.hash)
                    store.runs.put_plan(plan.hash, plan.to_json())
                verdicts += store.transit.start_slices(group, depths)
        return verdicts

    @contextmanager
    def _span(self, definition: Definition, run: str, start: Start) -> Iterator[str | None]:
        """The span of a send around a block; gives what its messages carry, None if not traced."""
        span = self._tracer().producer_span(
            definition.plan().first_queue,
            run_id=run,
            tenant=start.tenant,
            pipeline=definition.name,
        )
        if span is None:
            yield None
            return
        with span:
            yield span.traceparent

    def _beginning(
        self, definition: Definition, run: str, start: Start, trace: str | None
    ) -> Beginning:
        limit = self._settings().max_payload_bytes
        if len(start.payload) > limit:
            raise PayloadTooLarge(definition.name, len(start.payload), limit)
        plan = definition.plan()
        for known in definition.plans():  # a child run may begin with it
            self._plans.add(known)
        decide = Scope(plan, nothing_yet, self._definitions.decide).decide
        edges = begin(plan, start.payload, decide, self._plans.get)
        if start.priority is not None:
            edges = [_with_priority(edge, start.priority) for edge in edges]
        if start.delay_ms and not (len(edges) == 1 and type(edges[0]) is Send):
            raise OptionInvalid(
                "delay", start.delay_ms, "left out where a pipeline does not begin with one stage"
            )
        claim, terms = self._claim(definition, start), self._terms(definition)
        own_ms = definition.retention_ms if isinstance(definition, Pipeline) else None
        return Beginning(
            run,
            definition.name,
            plan.hash,
            start.tenant,
            # A key pins the result of its run: a duplicate finds it as long as the key lives.
            max(terms.keep_ms if own_ms is None else own_ms, claim.ttl_ms if claim else 0),
            start.delay_ms,
            self._wire.edges(plan.hash, trace, edges),
            start.key,
            claim,
            terms.failed_keep_ms,
            start.attributes,
            # Where no first stage can leave the input with the run, the start does.
            () if plan.bearers else ("input", text(start.payload)),
        )

    def _claim(self, definition: Definition, start: Start) -> Claim | None:
        policy, settings = definition.idempotency, self._settings()
        restart = policy is not None and policy.on_dead == "restart"
        if start.key is not None:
            ttl_ms = policy.ttl_ms if policy else settings.idempotency_ttl_ms
            return Claim(definition.name, start.key, 0, ttl_ms, restart)
        if policy is None:
            return None
        digest = policy.content_key(
            start.payload, [field.name for field in definition.inputs.fields]
        )
        window_ms = policy.window_or(settings.idempotency_window_ms)
        return Claim(definition.name, digest, window_ms, policy.ttl_ms, restart)


def terms_of(first: str, queues: Sequence[str], settings: Settings) -> Terms:
    """The terms of runs that begin in `first` and go through `queues`."""
    policies = [settings.policy(queue) for queue in queues]
    retention = settings.policy(first).retention
    completed_ms, failed_ms = retention.completed_age_ms, retention.failed_age_ms
    if failed_ms is not None:
        # A letter has to find its run when it is redriven, whichever stage died.
        letters_ms = [policy.retention.dead_age_ms for policy in policies]
        failed_ms = min(max(failed_ms, *letters_ms), settings.dead_retention_ms)
    return Terms(
        {policy.name: policy.max_depth for policy in policies if policy.max_depth},
        settings.retention_ms if completed_ms is None else completed_ms,
        failed_ms,
    )


def queues_of(plan: Plan) -> list[str]:
    """The queues that a plan's stages wait in, each once."""
    queues = (getattr(node, "queue", "") for node in plan.nodes)
    return list(dict.fromkeys(queue for queue in queues if queue))


def _accepted(run: str, verdict: Verdict) -> str | None:
    if verdict is None:
        return run
    return None if type(verdict) is Full else verdict[0]


def _with_priority(edge: Edge, priority: int) -> Edge:
    return msgspec.structs.replace(edge, priority=priority) if type(edge) is Send else edge
