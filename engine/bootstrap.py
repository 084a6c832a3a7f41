"""Building an engine: the one constructor, and the engine as definitions and run handles see it.

No import builds anything. `build(settings)` makes an engine and makes it current; a definition made
before that makes the default engine, in memory and unconnected, so that `dramatiq my_module` works.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import dramatiq
import msgspec
from dramatiq import broker as dramatiq_broker

from engine import current
from engine.broker import RedisBroker
from engine.config import QueuePolicy, Settings, load_settings
from engine.errors import (
    IdempotentRunFailed,
    OptionInvalid,
    PayloadTooLarge,
    RunCancelled,
    RunFailed,
    RunNotFound,
    ScriptRefused,
)
from engine.execution import Runner, StageActor
from engine.execution.actor import RelayActor
from engine.execution.insight import Insight
from engine.execution.plans import Plans
from engine.flows.scope import Scope, nothing_yet
from engine.middleware import ours
from engine.store.embedded import EmbeddedServer
from engine.store.entries import Beginning, Claim
from engine.store.store import Store, connect
from engine.store.transit import slices_of
from engine.telemetry.instruments import Instruments
from engine.telemetry.tracing import Tracer
from engine.workflow import registry
from engine.workflow.edges import Edge, Send
from engine.workflow.names import RELAY_STAGE
from engine.workflow.pipeline import Pipeline
from engine.workflow.retry import Retry
from engine.workflow.run import Run, RunState, RunView, StageView, new_run_id
from engine.workflow.stage import Stage
from engine.workflow.start import Start
from engine.workflow.transitions import begin

Definition = Pipeline | Stage[..., Any]

# Written together before the replies are read: server and client work at the same time.
_SLICES_AT_ONCE = 8


class Engine:
    """One installation of Callboard in this process: broker, store and definitions.

    Args:
        settings: None reads the environment when something is first needed.
        definitions: Where stages and pipelines are found.
        store: A ready store, for tests.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        definitions: registry.Registry | None = None,
        store: Store | None = None,
    ) -> None:
        self._given_settings = settings
        self._given_store = store
        self._lock = threading.RLock()
        self.definitions = definitions or registry.current()
        self.instruments = Instruments()
        self._places: dict[tuple[str, str, int | None], tuple[int, int]] = {}
        self.plans = Plans(self._stored_plan)
        insight = Insight(lambda: self.store, self.plans)
        self.runner = Runner(
            self.plans,
            self.definitions.decide,
            retry_of=self._retry_of,
            context_of=insight.context_of,
            payload_limit=lambda: self.settings.max_payload_bytes,
            recall=insight.recall,
        )
        self.broker = RedisBroker(
            middleware=ours(Tracer(0.0), self.instruments, lambda: self.settings),
            store=lambda: self.store,
            policies=self._policy,
            placing=self._place,
        )
        self.broker.actors[RELAY_STAGE] = RelayActor(self.broker, self.runner)  # type: ignore[assignment]

    # -- parts that need settings, made at the first use ------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The settings: those given, or the environment's at the first use."""
        return self._given_settings or load_settings()

    @cached_property
    def store(self) -> Store:
        """The store that the settings name; the embedded server where they allow it."""
        with self._lock:
            if self._given_store is not None:
                return self._given_store
            settings = self.settings
            url = settings.redis_address()
            if url is None:
                server = EmbeddedServer(
                    settings.data_dir, appendfsync=settings.embedded_appendfsync
                )
                url = server.start()
            return connect(
                url,
                namespace=settings.namespace,
                timeout_ms=settings.redis_timeout_ms,
                failed_keep_ms=settings.dead_retention_ms,
                unknown_grace_ms=settings.unknown_stage_grace_ms,
            )

    @cached_property
    def tracer(self) -> Tracer:
        """Makes the spans of sends."""
        return Tracer(self.settings.tracing_sample_ratio)

    # -- definitions ------------------------------------------------------------------------------

    def bind(self, definition: Any) -> None:
        """Gives a stage its actor on this engine's broker. A pipeline needs none."""
        if isinstance(definition, Stage):
            StageActor(definition, self.broker, self.runner)

    def _policy(self, queue: str) -> QueuePolicy:
        return self.settings.policy(queue)

    def _stored_plan(self, plan: str) -> bytes | None:
        return self.store.runs.plan(plan)

    def _retry_of(self, queue: str) -> Retry:
        policy = self.settings.policy(queue).retry
        return Retry(policy.attempts, policy.base_ms, policy.factor, policy.max_ms, policy.jitter)

    def _place(self, stage: str, queue: str, priority: int | None) -> tuple[int, int]:
        place = self._places.get((stage, queue, priority))
        if place is None:
            policy = self.settings.policy(queue)
            declared = self.definitions.stages.get(stage)
            stalls = (
                declared.max_stalls
                if declared and declared.max_stalls is not None
                else policy.max_stalls
            )
            place = (policy.message_priority if priority is None else priority, stalls)
            self._places[stage, queue, priority] = place
        return place

    # -- starting ---------------------------------------------------------------------------------

    def start(
        self,
        definition: Definition,
        payload: bytes,
        *,
        tenant: str,
        key: str | None,
        delay_ms: int,
        priority: int | None,
    ) -> Run:
        """Starts one run.

        Raises:
            PayloadTooLarge: Nothing was sent.
            IdempotentRunFailed: The key belongs to a run that failed.
            StoreUnreachable, StoreFull, StoreBusy: Nothing was started, or it is safe to repeat.
        """
        start = Start(payload, tenant, key, delay_ms, priority)
        run = new_run_id()
        span = self.tracer.producer_span(
            _queue_of(definition), run_id=run, tenant=tenant, pipeline=definition.name
        )
        if span is None:
            verdict = self._begin_all(definition, [self._packed(definition, run, start, None)])[0]
        else:
            with span:
                packed = self._packed(definition, run, start, span.traceparent)
                verdict = self._begin_all(definition, [packed])[0]
        if verdict is None:
            return Run(run, self)
        holder, state = verdict
        if state == RunState.FAILED:
            raise IdempotentRunFailed(holder, key or "of the content")
        return Run(holder, self, duplicate=True)

    def start_many(self, definition: Definition, starts: Sequence[Start]) -> list[Run]:
        """Starts runs in bulk, each slice of up to 256 all or none; raises as `start`.

        A start that repeats the key of an earlier run, failed or not, gives that run's handle.
        """
        runs = [new_run_id() for _ in starts]
        queue = _queue_of(definition)
        packed: list[bytes] = []
        for run, start in zip(runs, starts, strict=True):
            span = self.tracer.producer_span(
                queue, run_id=run, tenant=start.tenant, pipeline=definition.name
            )
            if span is None:
                packed.append(self._packed(definition, run, start, None))
            else:
                with span:
                    packed.append(self._packed(definition, run, start, span.traceparent))
        verdicts = self._begin_all(definition, packed)
        return [
            Run(run, self) if verdict is None else Run(verdict[0], self, duplicate=True)
            for run, verdict in zip(runs, verdicts, strict=True)
        ]

    async def astart(self, definition: Definition, payload: bytes, **options: Any) -> Run:
        """Starts one run without blocking the event loop."""
        return await asyncio.to_thread(self.start, definition, payload, **options)

    def _begin_all(
        self, definition: Definition, packed: list[bytes]
    ) -> list[tuple[str, str] | None]:
        plan = definition.plan()
        self.plans.add(plan)
        self.store.runs.put_plan(plan.hash, plan.to_json())
        slices = slices_of(packed)
        verdicts: list[tuple[str, str] | None] = []
        for at in range(0, len(slices), _SLICES_AT_ONCE):
            group = slices[at : at + _SLICES_AT_ONCE]
            try:
                verdicts += self.store.transit.start_slices(group)
            except ScriptRefused as error:
                if error.reason != "PLAN_MISSING":
                    raise
                # The server has lost the plan, and nothing of a slice without it was started.
                self.store.runs.forget_plan(plan.hash)
                self.store.runs.put_plan(plan.hash, plan.to_json())
                verdicts += self.store.transit.start_slices(group)
        return verdicts

    def _packed(self, definition: Definition, run: str, start: Start, trace: str | None) -> bytes:
        limit = self.settings.max_payload_bytes
        if len(start.payload) > limit:
            raise PayloadTooLarge(definition.name, len(start.payload), limit)
        plan = definition.plan()
        edges = begin(plan, start.payload, Scope(plan, nothing_yet, self.definitions.decide).decide)
        if start.priority is not None:
            edges = [_with_priority(edge, start.priority) for edge in edges]
        if start.delay_ms and not (len(edges) == 1 and type(edges[0]) is Send):
            raise OptionInvalid(
                "delay", start.delay_ms, "left out where a pipeline does not begin with one stage"
            )
        claim = self._claim(definition, start)
        return Beginning(
            run,
            definition.name,
            plan.hash,
            start.tenant,
            # A key pins the result of its run: a duplicate finds it as long as the key lives.
            max(self._keep_ms(definition), claim.ttl_ms if claim else 0),
            start.delay_ms,
            self.broker.wire.edges(plan.hash, trace, edges),
            start.key,
            claim,
        ).packed()

    def _keep_ms(self, definition: Definition) -> int:
        own = definition.retention_ms if isinstance(definition, Pipeline) else None
        return self.settings.retention_ms if own is None else own

    def _claim(self, definition: Definition, start: Start) -> Claim | None:
        policy = definition.idempotency
        restart = policy is not None and policy.on_dead == "restart"
        if start.key is not None:
            ttl_ms = policy.ttl_ms if policy else self.settings.idempotency_ttl_ms
            return Claim(definition.name, start.key, 0, ttl_ms, restart)
        if policy is None:
            return None
        digest = policy.content_key(
            start.payload, [field.name for field in definition.inputs.fields]
        )
        return Claim(definition.name, digest, policy.window_ms, policy.ttl_ms, restart)

    # -- what run handles ask ---------------------------------------------------------------------

    def view(self, run_id: str) -> RunView:
        """One run with its stages; raises RunNotFound."""
        record = self.store.runs.read(run_id)
        if record is None:
            raise RunNotFound(run_id)
        stages = tuple(
            StageView(
                position=s.position,
                stage=s.stage,
                state=s.state,
                attempts=s.attempt,
                wait_ms=s.wait_ms,
                run_ms=s.run_ms,
            )
            for s in record.stages
        )
        return RunView(
            id=record.id,
            pipeline=record.pipeline,
            state=RunState(record.state),
            tenant=record.tenant,
            key=record.key,
            started_at_ms=record.started_at_ms,
            ended_at_ms=record.ended_at_ms,
            stages=stages,
        )

    def wait(self, run_id: str, timeout_ms: int) -> RunState:
        """Waits for the end; returns the state then, ended or not. Raises RunNotFound."""
        state = self.store.runs.wait(run_id, timeout_ms)
        if state is None:
            raise RunNotFound(run_id)
        return RunState(state)

    def result(self, run_id: str) -> bytes:
        """The result of a completed run; raises RunFailed, RunCancelled, RunNotFound."""
        state, result = self.store.runs.state(run_id)
        if state == RunState.FAILED:
            raise RunFailed(run_id)
        if state == RunState.CANCELLED:
            raise RunCancelled(run_id)
        if state is None or result is None:
            raise RunNotFound(run_id)
        return result

    async def await_result(self, run_id: str) -> bytes:
        """Waits without blocking the event loop; result and errors as `result`."""
        while not (await asyncio.to_thread(self.wait, run_id, 10_000)).ended:
            pass
        return await asyncio.to_thread(self.result, run_id)

    def cancel(self, run_id: str) -> bool:
        """Cancels a run; False if it had ended before. Raises RunNotFound."""
        state = self.store.runs.cancel(run_id)
        if state is None:
            raise RunNotFound(run_id)
        return state == RunState.RUNNING

    def close(self) -> None:
        """Closes this process's connections."""
        if "store" in self.__dict__:
            self.broker.close()


def build(
    settings: Settings | None = None,
    *,
    store: Store | None = None,
    definitions: registry.Registry | None = None,
    make_current: bool = True,
) -> Engine:
    """Builds an engine and binds every definition made so far to it.

    Args:
        settings: None reads the environment when the engine first needs a setting.
        store: A ready store instead of the one the settings name.
        definitions: The registry to serve; the current one if left out.
        make_current: Definitions and sends use this engine from now on, and Dramatiq its broker.
    """
    engine = Engine(settings, definitions=definitions, store=store)
    for stage in list(engine.definitions.stages.values()):
        engine.bind(stage)
    if make_current:
        current.set(engine)
        dramatiq.set_broker(engine.broker)
    return engine


def build_default() -> Engine:
    """The engine of a process that never called `build`.

    Its broker becomes Dramatiq's if there is none.
    """
    engine = Engine()
    for stage in list(engine.definitions.stages.values()):
        engine.bind(stage)
    if dramatiq_broker.global_broker is None:
        dramatiq.set_broker(engine.broker)
    return engine


def _queue_of(definition: Definition) -> str:
    node = definition.plan().nodes[0]
    return str(getattr(node, "queue", "default"))


def _with_priority(edge: Edge, priority: int) -> Edge:
    return msgspec.structs.replace(edge, priority=priority) if type(edge) is Send else edge
