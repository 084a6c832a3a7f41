"""Counting what a tenant uses, from inside a stage.

Owns: the way from a stage to the store's counters. Must not: keep numbers itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from engine import current
from engine.store.store import Store
from engine.workflow.context import Context


class _Stored(Protocol):
    @property
    def store(self) -> Store: ...


def count(context: Context, amounts: Mapping[str, int]) -> dict[str, int]:
    """Adds to the month's usage of the run's tenant, each kind at most once a run.

    However often the attempt is delivered or tried, the totals move once. Inside `each`, where one
    run has many attempts of a stage, count behind it.

    Args:
        context: Of the attempt.
        amounts: By kind, see `engine.store.usage.Usage.add_all`.

    Returns:
        What was asked to be counted, so that a stage can return it.
    """
    engine = cast("_Stored", current.get())
    engine.store.usage.add_all(context.tenant, amounts, once=context.run_id)
    return dict(amounts)
