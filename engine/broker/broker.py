"""The Dramatiq broker over Callboard's store.

It takes the place of `dramatiq.brokers.redis.RedisBroker`. The room owns what Dramatiq asks of a
broker; messages are moved by the pump, and the store decides.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from uuid import uuid4

from dramatiq.broker import Broker, Consumer
from dramatiq.common import current_millis
from dramatiq.errors import QueueJoinTimeout
from dramatiq.message import Message, get_encoder
from dramatiq.middleware import Middleware, MiddlewareError
from dramatiq.worker import QUEUE_PREFETCH, Worker

from engine.broker.beat import Beat
from engine.broker.consumer import QueueConsumer
from engine.broker.credit import Credit
from engine.broker.handed import Handed
from engine.broker.hooks import Hooks
from engine.broker.outbox import Outbox
from engine.broker.pump import Pump
from engine.broker.rules import Rules
from engine.broker.worktable import Workplace
from engine.config.policies import QueuePolicy
from engine.errors import QueueFull, StoreError, UnsafeEncoder
from engine.store.entries import Full, Outgoing
from engine.store.store import Store, connect
from engine.store.transit import slices_of
from engine.store.wire import Wire
from engine.workflow.names import DEFAULT_TENANT

VERSION = "0.1"
_SWITCH_S = 0.001


class RedisBroker(Broker):
    """A Dramatiq broker with atomic hops, fair tenants and delays of any length.

    Examples:
        >>> dramatiq.set_broker(RedisBroker(url="redis://localhost:6379/0"))

    Args:
        url: Address of the server; wins over `parameters`.
        middleware: All middleware; Dramatiq's default ones if left out.
        namespace: Prefix of every key.
        client: A `redis.Redis` to use instead of own connections.
        store: Gives the store when it is first needed, as an engine does.
        policies: Gives the policy of a queue.
        placing: Gives priority and forgiven deaths of a stage's messages.
        cancelled: Told every second which runs have been cancelled.
        parameters: Connection parameters of `redis.Redis` (`host`, `port`, `db`, `password`, …).
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        middleware: list[Middleware] | None = None,
        namespace: str = "dramatiq",
        client: Any = None,
        store: Callable[[], Store] | None = None,
        policies: Any = None,
        placing: Any = None,
        cancelled: Callable[[frozenset[str]], None] | None = None,
        **parameters: Any,
    ) -> None:
        self._hooks = Hooks()
        super().__init__(middleware=middleware)
        self.queues: set[str] = set()
        self.namespace = namespace
        if store is None:
            own = connect(url, namespace=namespace, client=client, parameters=parameters)

            def store() -> Store:
                return own

        self._give_store = store
        # Asked for with every message; settings do not change.
        self._policy: Callable[[str], QueuePolicy] = cache(policies or _default_policy)
        self.wire = Wire(placing or self._place)
        self.outbox = Outbox()
        self._cancelled = cancelled or _ignore
        self._workplace = Workplace()
        self._threads = 1
        self._pump: Pump | None = None
        self._beat: Beat | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    @property
    def store(self) -> Store:
        """Where messages live."""
        return self._give_store()

    @property
    def client(self) -> Any:
        """The `redis.Redis` that was given, or one over the same connections."""
        return self.store.client

    # -- sending ----------------------------------------------------------------------------------

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Enqueues a message; inside a middleware's after-hook it joins the delivery's commit.

        Args:
            message: What an actor's `message` built.
            delay: Milliseconds, any number of them.

        Raises:
            QueueFull: The queue is at its `max_depth`; nothing was enqueued.
            StoreUnreachable, StoreFull, StoreBusy: Nothing was enqueued, or it is safe to repeat.
        """
        try:
            return self._enqueue(message, delay)
        except Exception as error:
            self.outbox.refuse(error)  # Dramatiq swallows what its hooks raise
            raise

    def _enqueue(self, message: Message[Any], delay: int | None) -> Message[Any]:
        identity = str(uuid4())
        options: dict[str, Any] = {"redis_message_id": identity}
        if delay is not None:
            options["eta"] = current_millis() + delay
        message = message.copy(options=options)
        self.logger.debug(
            "Enqueueing message %r on queue %r.", message.message_id, message.queue_name
        )
        self.emit_before("enqueue", message, delay)
        outgoing = self._outgoing(identity, message, delay or 0)
        if not self.outbox.take(outgoing):
            verdict = self.store.transit.enqueue(identity, [outgoing], self._depths([message]))[0]
            if isinstance(verdict, Full):
                raise self._queue_full(verdict)
            if verdict != "enqueued":
                message = message.copy(options={"duplicate_of": verdict})
        self.emit_after("enqueue", message, delay)
        return message

    def enqueue_many(self, messages: Sequence[Message[Any]]) -> list[Message[Any]]:
        """Enqueues messages in bulk, up to 256 in one script.

        Raises:
            QueueFull: Some were refused; its `accepted` tells which were enqueued.
        """
        outgoing: list[bytes] = []
        for message in messages:
            self.emit_before("enqueue", message, None)
            outgoing.append(self._outgoing(str(uuid4()), message, 0).packed())
        verdicts: list[str | Full] = []
        depths = self._depths(messages)
        for batch in slices_of(outgoing):
            verdicts += self.store.transit.enqueue_slice(str(uuid4()), batch, depths)
        accepted: list[str | None] = []
        for message, verdict in zip(messages, verdicts, strict=True):
            refused = isinstance(verdict, Full)
            accepted.append(None if refused else message.message_id)
            if not refused:
                self.emit_after("enqueue", message, None)
        if full := next((verdict for verdict in verdicts if isinstance(verdict, Full)), None):
            raise self._queue_full(full, accepted)
        return list(messages)

    def _depths(self, messages: Sequence[Message[Any]]) -> dict[str, int]:
        limits = {m.queue_name: self._policy(m.queue_name).max_depth for m in messages}
        return {queue: limit for queue, limit in limits.items() if limit}

    def _queue_full(self, full: Full, accepted: Sequence[str | None] = ()) -> QueueFull:
        limit = self._policy(full.queue).max_depth or 0
        return QueueFull(full.queue, full.depth, limit, accepted)

    def _outgoing(self, identity: str, message: Message[Any], delay_ms: int) -> Outgoing:
        options = message.options
        actor = self.actors.get(message.actor_name)
        priority = options.get("priority")
        if priority is None:
            priority = _sooner(actor.priority if actor else 0)
        key = options.get("idempotency_key")
        return Outgoing(
            identity,
            message.queue_name,
            options.get("tenant") or DEFAULT_TENANT,
            priority,
            self._policy(message.queue_name).max_stalls,
            delay_ms,
            message.encode(),
            key,
            options.get("idempotency_ttl_ms", 86_400_000) if key else 0,
        )

    def _place(self, stage: str, queue: str, priority: int | None) -> tuple[int, int]:
        policy = self._policy(queue)
        return (policy.message_priority if priority is None else priority), policy.max_stalls

    # -- consuming --------------------------------------------------------------------------------

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        return QueueConsumer(self._pump_of_process(), queue_name, timeout)

    def _pump_of_process(self) -> Pump:
        with self._lock:
            if self._pump is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._pump = Pump(
                    self.store,
                    self.wire,
                    credit=Credit(self._threads, QUEUE_PREFETCH),
                    priority_of=self._actor_priority,
                    rules=Rules(self._policy),
                    workplace=self._workplace,
                    on_cancelled=self._cancelled,
                    version=VERSION,
                )
                self._pump.start()
                self._beat = Beat(self._pump)
                self._beat.start()
            return self._pump

    def _actor_priority(self, name: str) -> int | None:
        actor = self.actors.get(name)
        return None if actor is None else actor.priority

    # -- middleware -------------------------------------------------------------------------------

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        if signal == "process_message" and isinstance(args[0], Handed):
            args[0].begun_at = time.monotonic()
        elif signal == "worker_boot":
            self._boot(args[0])
        elif signal == "worker_shutdown" and self._pump:
            self._pump.stop_fetching()
        name = "before_" + signal
        for middleware, hook in self._hooks.named(self.middleware, name):
            try:
                hook(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                self.logger.critical(
                    "Unexpected failure in %s of %r.", name, middleware, exc_info=True
                )

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        name = "after_" + signal
        hooks = self._hooks.named(self.middleware, name)
        if hooks:
            with self.outbox.of(signal, args):
                for middleware, hook in reversed(hooks):
                    try:
                        hook(self, *args, **kwargs)
                    except Exception:
                        self.logger.critical(
                            "Unexpected failure in %s of %r.", name, middleware, exc_info=True
                        )
        if signal == "worker_shutdown":
            self._shut_down()

    def _boot(self, worker: Worker) -> None:
        if "pickle" in type(get_encoder()).__name__.lower():
            raise UnsafeEncoder(type(get_encoder()).__name__)
        self._threads = worker.worker_threads
        # Threads that compute hand the interpreter on sooner: the pump and deadlines wait less.
        sys.setswitchinterval(_SWITCH_S)
        self._workplace.open(worker)

    def _shut_down(self) -> None:
        pump, beat = self._pump, self._beat
        self._pump = self._beat = None
        self._workplace.close()
        if pump is None or beat is None:
            return
        for handed in list(pump.held.values()):
            if not handed.begun_at:
                pump.release(handed)
        pump.stop()
        beat.stop()
        link = self.store.links.take()
        try:
            # A fetch whose answer never came has leases too: they go back, uncounted.
            begun = [identity for identity, handed in pump.held.items() if handed.begun_at]
            self.store.transit.reconcile(link, pump.consumer, begun)
            self.store.transit.retire(pump.consumer)
        except StoreError as error:
            self.logger.warning(
                "This process leaves without notice, its silence will tell: %s", error
            )
        finally:
            self.store.links.give(link)

    # -- the rest of Dramatiq's contract ----------------------------------------------------------

    def get_declared_queues(self) -> set[str]:
        return self.queues.copy()

    def flush(self, queue_name: str) -> None:
        self.store.queues.flush(queue_name)

    def flush_all(self) -> None:
        for queue in self.queues:
            self.flush(queue)

    def join(self, queue_name: str, *, interval: int = 100, timeout: int | None = None) -> None:
        """Waits until a queue holds nothing; for tests.

        Raises:
            QueueJoinTimeout: After `timeout` ms.
        """
        deadline = timeout and time.monotonic() + timeout / 1000
        while True:
            if deadline and time.monotonic() >= deadline:
                raise QueueJoinTimeout(queue_name)  # type: ignore[no-untyped-call]
            held = self.store.queues.count(queue_name)
            if held.waiting + held.delayed + held.leased == 0:
                return
            time.sleep(interval / 1000)

    def close(self) -> None:
        self._shut_down()
        self.store.close()


def _ignore(_runs: frozenset[str]) -> None:
    """A broker without an engine has no runs."""


def _default_policy(queue: str) -> QueuePolicy:
    return QueuePolicy(name=queue)


def _sooner(dramatiq_priority: int) -> int:
    """Dramatiq's priority (lower is sooner, 0 by default) as ours (0 to 9, higher is sooner)."""
    steps = abs(dramatiq_priority).bit_length()
    return min(9, 5 + steps) if dramatiq_priority < 0 else max(0, 5 - steps)
