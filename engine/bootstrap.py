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
from dramatiq import broker as dramatiq_broker

from engine import current
from engine.broker import RedisBroker
from engine.config import QueuePolicy, Settings, load_settings
from engine.control.desk import Desk
from engine.errors import (
    PayloadTooLarge,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunNotFound,
    SignalsFull,
)
from engine.execution import Runner, StageActor
from engine.execution.actor import BuiltInActor
from engine.execution.callbacks import Callbacks
from engine.execution.insight import Insight
from engine.execution.plans import Plans
from engine.execution.sight import seen
from engine.execution.starter import Definition, Starter
from engine.middleware import Batching, ours
from engine.store.embedded import EmbeddedServer
from engine.store.store import Store, connect
from engine.telemetry.instruments import Instruments
from engine.telemetry.tracing import Tracer
from engine.workflow import registry
from engine.workflow.names import FAIL_STAGE, RELAY_STAGE, TIMER_STAGE
from engine.workflow.retry import Retry
from engine.workflow.run import Run, RunState, RunView
from engine.workflow.stage import Stage
from engine.workflow.start import Start


class Engine:
    """One installation of Callboard in this process: broker, store and definitions.

    Args:
        settings: None reads the environment when something is first needed.
        definitions: Where stages and pipelines are found.
        store: A ready store, for tests.

    Attributes:
        callbacks: Takes the answers of those who were given a callback.
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
        self.callbacks = Callbacks(lambda: self.store, lambda: self.settings, self.plans)
        insight = Insight(lambda: self.store, self.plans, self.callbacks)
        self.runner = Runner(
            self.plans,
            self.definitions.decide,
            retry_of=self._retry_of,
            context_of=insight.context_of,
            payload_limit=lambda: self.settings.max_payload_bytes,
            recall=insight.recall,
            results_of=self._stored_results,
        )
        self.broker = RedisBroker(
            middleware=ours(
                Tracer(0.0),
                self.instruments,
                lambda: self.settings,
                Batching(self.runner.batches.open, self.runner.batches.close),
            ),
            store=lambda: self.store,
            policies=self._policy,
            placing=self._place,
            cancelled=lambda runs: self.runner.interrupt(runs, self.store.runs.given_up),
        )
        self._starter = Starter(
            self.plans,
            self.definitions,
            self.broker.wire,
            store=lambda: self.store,
            settings=lambda: self.settings,
            tracer=lambda: self.tracer,
            handle=lambda run, duplicate: Run(run, self, duplicate),
        )
        for name, act in (
            (RELAY_STAGE, self.runner.relay),
            (TIMER_STAGE, self.runner.time_out),
            (FAIL_STAGE, self.runner.fail),
        ):
            self.broker.actors[name] = BuiltInActor(name, self.broker, act)  # type: ignore[assignment]

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
                events_kept=settings.event_stream_length,
                failed_keep_ms=settings.dead_retention_ms,
                unknown_grace_ms=settings.unknown_stage_grace_ms,
                wait_replicas=settings.wait_replicas,
            )

    @cached_property
    def tracer(self) -> Tracer:
        """Makes the spans of sends."""
        return Tracer(self.settings.tracing_sample_ratio)

    @cached_property
    def control(self) -> Desk:
        """Finds runs, explains them and lets them go on."""
        wire = self.broker.wire
        return Desk(lambda: self.store, self.definitions, self._attempts_of, self.plans.get, wire)

    # -- definitions ------------------------------------------------------------------------------

    def bind(self, definition: Any) -> None:
        """Gives a stage its actor on this engine's broker. A pipeline needs none."""
        if isinstance(definition, Stage):
            StageActor(definition, self.broker, self.runner)

    def _policy(self, queue: str) -> QueuePolicy:
        return self.settings.policy(queue)

    def _stored_results(self, run: str, join: str, members: int) -> list[bytes | None]:
        return self.store.runs.results(run, join, members)

    def _stored_plan(self, plan: str) -> bytes | None:
        return self.store.runs.plan(plan)

    def _retry_of(self, queue: str) -> Retry:
        policy = self.settings.policy(queue).retry
        return Retry(policy.attempts, policy.base_ms, policy.factor, policy.max_ms, policy.jitter)

    def _attempts_of(self, stage: str) -> int | None:
        declared = self.definitions.stages.get(stage)
        if declared is None:
            return None
        return (declared.retry or self._retry_of(declared.queue)).attempts

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
        attributes: tuple[str, ...] = (),
    ) -> Run:
        """Starts one run.

        Raises:
            PayloadTooLarge: Nothing was sent.
            IdempotentRunFailed: The key belongs to a run that failed.
            QueueFull: A queue that it begins in is at its `max_depth`; nothing was started.
            NotReplicated: The run has started, and too few replicas confirmed it in time.
            StoreUnreachable, StoreFull, StoreBusy: Nothing was started, or it is safe to repeat.
        """
        start = Start(payload, tenant, key, delay_ms, priority, attributes)
        return self._starter.one(definition, start)

    def start_many(self, definition: Definition, starts: Sequence[Start]) -> list[Run]:
        """Starts runs in bulk, up to 256 in one script; raises as `start`.

        A full queue refuses some and takes others: `QueueFull.accepted` tells which were started.
        A start that repeats the key of an earlier run, failed or not, gives that run's handle.
        """
        return self._starter.many(definition, starts)

    async def astart(self, definition: Definition, payload: bytes, **options: Any) -> Run:
        """Starts one run without blocking the event loop."""
        return await asyncio.to_thread(self.start, definition, payload, **options)

    # -- what run handles ask ---------------------------------------------------------------------

    def view(self, run_id: str) -> RunView:
        """One run with its stages; raises RunNotFound."""
        record = self.store.runs.read(run_id)
        if record is None:
            raise RunNotFound(run_id)
        return seen(record, self.store.runs, self.plans)

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

    def cancel(self, run_id: str, *, undo: bool = False) -> bool:
        """Cancels a run; False if it had ended before. Raises RunNotFound."""
        state = self.store.runs.cancel(run_id, undo=undo)
        if state is None:
            raise RunNotFound(run_id)
        return state == RunState.RUNNING

    def signal(self, run_id: str, name: str, value: bytes, *, once: str | None = None) -> bool:
        """Sends a JSON value to a run; whether it was taken in for the first time.

        Raises:
            RunNotFound, RunEnded: The run takes no signal.
            SignalsFull: Too many of this name are waiting to be waited for.
        """
        limit = self.settings.max_payload_bytes
        if len(value) > limit:
            raise PayloadTooLarge(f"signal {name!r}", len(value), limit)
        verdict = self.store.runs.signal(run_id, name, value, once=once)
        if verdict is None:
            raise RunNotFound(run_id)
        if verdict == "full":
            raise SignalsFull(run_id, name)
        if verdict not in ("delivered", "kept", "repeated"):
            raise RunEnded(run_id, verdict)
        return verdict != "repeated"

    def pause(self, run_id: str) -> bool:
        """Holds a run; False if it was held already. Raises RunNotFound, RunEnded."""
        verdict = self.store.runs.pause(run_id)
        if verdict is None:
            raise RunNotFound(run_id)
        if verdict not in ("paused", "known"):
            raise RunEnded(run_id, verdict)
        return verdict == "paused"

    def resume(self, run_id: str) -> bool:
        """Lets a held run go on; False if it was not held. Raises RunNotFound."""
        verdict = self.store.runs.resume(run_id)
        if verdict is None:
            raise RunNotFound(run_id)
        return verdict == "resumed"

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
