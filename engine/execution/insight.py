"""Insight: what a stage may ask and report through its `Context` while it runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from engine.errors import StoreError
from engine.execution.callbacks import Callbacks
from engine.execution.plans import Plans
from engine.store.store import Store
from engine.telemetry.logs import stage_log
from engine.workflow.attempt import Attempt
from engine.workflow.context import Context
from engine.workflow.nodes import StageNode
from engine.workflow.payload import decode_untyped

_REPORT_EVERY_S = 1.0
LOG_LINES = 20
"""How many of its last log lines a failed attempt keeps."""


class Insight:
    """Makes contexts that look into the store only when they are asked."""

    def __init__(self, store: Callable[[], Store], plans: Plans, callbacks: Callbacks) -> None:
        self._store = store
        self._plans = plans
        self._callbacks = callbacks

    def recall(self, run_id: str, position: str) -> bytes | None:
        """The stored result of a run at a position, JSON; None where there is none."""
        return self._store().runs.output(run_id, position)

    def context_of(self, attempt: Attempt, deadline_at_ms: int | None) -> Context:
        """The context of one attempt."""
        watch = _Watch(self._store, attempt)
        tail: deque[tuple[str, str, dict[str, object]]] = deque(maxlen=LOG_LINES)
        attempt.log = tail
        return Context(
            attempt.run_id,
            attempt.tenant,
            stage=attempt.stage,
            attempt=attempt.number,
            deadline_at_ms=deadline_at_ms,
            token=attempt.token,
            log=stage_log(tail=tail),
            outputs=_Outputs(self._store, self._plans, attempt),
            progress=watch.progress,
            cancelled=watch.cancelled,
            callbacks=partial(self._callbacks.make, attempt),
        )


class _Watch:
    """Progress and cancellation of one attempt; goes to the store at most once a second."""

    def __init__(self, store: Callable[[], Store], attempt: Attempt) -> None:
        self._store, self._attempt = store, attempt
        self._reported_at = self._asked_at = 0.0
        self._cancelled = False
        # What undoes is wanted as long as it takes, in a cancelled run too.
        undoes = attempt.position.startswith("~")
        self._unwanted = () if undoes else ("cancelled", "undoing")

    def progress(self, done: float, total: float | None) -> None:
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_EVERY_S or done == total:
            self._reported_at = now
            with suppress(StoreError):  # a full or absent store must not fail the attempt
                self._store().runs.progress(
                    self._attempt.run_id, self._attempt.position, done, total
                )

    def cancelled(self) -> bool:
        now = time.monotonic()
        if not self._cancelled and now - self._asked_at >= _REPORT_EVERY_S:
            self._asked_at = now
            with suppress(StoreError):
                self._cancelled = (
                    self._store().runs.state(self._attempt.run_id)[0] in self._unwanted
                )
        return self._cancelled


class _Outputs(Mapping[str, Any]):
    """Results of earlier stages of the run by stage name; read from the store on access."""

    def __init__(self, store: Callable[[], Store], plans: Plans, attempt: Attempt) -> None:
        self._store, self._plans, self._attempt = store, plans, attempt

    def _positions(self) -> dict[str, str]:
        nodes = self._plans.get(self._attempt.plan_hash).nodes
        return {node.stage: str(i) for i, node in enumerate(nodes) if isinstance(node, StageNode)}

    def __getitem__(self, stage: str) -> Any:
        raw = self._store().runs.output(self._attempt.run_id, self._positions()[stage])
        if raw is None:
            raise KeyError(stage)
        return decode_untyped(raw)

    def __iter__(self) -> Iterator[str]:
        output, run = self._store().runs.output, self._attempt.run_id
        return (stage for stage, at in self._positions().items() if output(run, at) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
