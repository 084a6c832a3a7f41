"""Idempotency keys: which run a repeated start belongs to.

Owns: who holds a key and until when. Must not: start runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.clock import Clock
from engine.workflow.pipeline import Pipeline
from engine.workflow.run import RunState
from engine.workflow.stage import Stage
from engine.workflow.start import Start

Definition = Pipeline | Stage[..., Any]
_Claim = tuple[str, str, str]
DEFAULT_TTL_MS = 86_400_000
DEFAULT_WINDOW_MS = 300_000


class Claims:
    """Keys of starts, explicit or made of the content."""

    def __init__(self, clock: Clock, state_of: Callable[[str], RunState]) -> None:
        self._clock = clock
        self._state_of = state_of
        self._held: dict[_Claim, tuple[str, int]] = {}

    def holder(self, definition: Definition, start: Start) -> str | None:
        """Return the run that a start repeats, None if it is the first or starts anew."""
        claim, _ = self._claim(definition, start)
        run_id, until_ms = self._held.get(claim, ("", 0)) if claim else ("", 0)
        if not run_id or self._clock.now_ms() >= until_ms:
            return None
        policy = definition.idempotency
        restarts = policy is not None and policy.on_dead == "restart"
        if restarts and self._state_of(run_id) in (RunState.FAILED, RunState.CANCELLED):
            return None
        return run_id

    def take(self, definition: Definition, start: Start, run_id: str) -> None:
        """Note that a run holds the key of a start."""
        claim, lasts_ms = self._claim(definition, start)
        if claim is not None:
            self._held[claim] = (run_id, self._clock.now_ms() + lasts_ms)

    def _claim(self, definition: Definition, start: Start) -> tuple[_Claim | None, int]:
        policy = definition.idempotency
        if start.key is not None:
            claim = (definition.name, start.tenant, f"key {start.key}")
            return claim, policy.ttl_ms if policy else DEFAULT_TTL_MS
        if policy is None:
            return None, 0
        names = [field.name for field in definition.inputs.fields]
        digest = policy.content_key(start.payload, names)
        window_ms = policy.window_or(DEFAULT_WINDOW_MS)
        return (definition.name, start.tenant, digest), window_ms
