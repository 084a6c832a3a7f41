"""The desk: run control for Python, as `engine.control`. Each act is a function of its own room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.control.patching import Patch
from engine.control.replaying import Replayed, Replayer
from engine.control.retrying import Retry, retry
from engine.control.search import LOOKED_AT_MOST, RunPage, run_filter, search
from engine.control.why import Why, why
from engine.store.store import Store
from engine.store.wire import Wire
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry


class Desk:
    """Finds runs, explains them and lets them go on.

    Args:
        store: Gives the store; it is asked for at the first act.
        definitions: Stages and deciders that are known here.
        attempts_of: How many attempts a stage has, where that is known.
        plan_of: Plan by hash.
        wire: Turns edges into what the store starts with.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        definitions: Registry,
        attempts_of: Callable[[str], int | None],
        plan_of: Callable[[str], Plan],
        wire: Wire,
    ) -> None:
        self._store, self._definitions, self._attempts_of = store, definitions, attempts_of
        self._plan_of, self._wire = plan_of, wire

    def search(
        self,
        *,
        cursor: str | None = None,
        at_most: int = 50,
        looked_at_most: int = LOOKED_AT_MOST,
        **wanted: Any,
    ) -> RunPage:
        """Returns a page of runs, newest first; `wanted` and what is raised as `run_filter`.

        Raises:
            CursorInvalid: The cursor was not given by a search with this filter.
        """
        return search(
            self._store(),
            run_filter(**wanted),
            cursor=cursor,
            at_most=at_most,
            looked_at_most=looked_at_most,
        )

    def why(self, run_id: str) -> Why:
        """Returns why a run is not running now, and when it will; raises RunNotFound."""
        return why(self._store(), run_id, attempts_of=self._attempts_of)

    def retry(
        self,
        run_id: str,
        *,
        stage: str | None = None,
        patch: Patch | str | bytes | None = None,
        dry_run: bool = False,
    ) -> Retry:
        """Lets a failed run go on from where it died; see `engine.control.retrying.retry`."""
        read = Patch(patch) if isinstance(patch, str | bytes) else patch
        return retry(
            self._store(),
            run_id,
            stage=stage,
            patch=read,
            definitions=self._definitions,
            dry_run=dry_run,
        )

    def replay(self, run_id: str, *, stage: str | None = None, dry_run: bool = False) -> Replayed:
        """Starts an ended run anew from a stage; see `engine.control.replaying.Replayer`."""
        replayer = Replayer(self._store(), self._definitions, self._plan_of, self._wire)
        return replayer.replay(run_id, stage=stage, dry_run=dry_run)
