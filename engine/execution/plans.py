"""Plans by their hash: a run ends on the plan it began with, whatever the code says by now."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import UnknownPlan
from engine.workflow.plan import Plan

_KEPT = 1_000


class Plans:
    """The plans this process has seen; others are read from the store once.

    Args:
        read: Gives a plan's JSON by its hash, or None.
    """

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._known: dict[str, Plan] = {}

    def add(self, plan: Plan) -> None:
        """Takes in a plan that this process has compiled."""
        self._known[plan.hash] = plan

    def get(self, hash: str) -> Plan:  # noqa: A002 - the word of the field
        """The plan; raises UnknownPlan if the store has none either."""
        plan = self._known.get(hash)
        if plan is None:
            raw = self._read(hash)
            if raw is None:
                raise UnknownPlan(hash, self._known)
            if len(self._known) >= _KEPT:
                self._known.clear()
            plan = self._known[hash] = Plan.from_json(raw)
        return plan
