"""The desk: run control for Python, as `engine.control`. Each act is a function of its own room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.control import operate
from engine.control.bulk import LetterFilter, Tally, Tell, in_state, over_letters, over_runs
from engine.control.patching import Patch
from engine.control.replaying import Replayed, Replayer
from engine.control.retrying import Retry, retry
from engine.control.search import LOOKED_AT_MOST, RunFilter, RunPage, run_filter, search
from engine.control.why import Why, why
from engine.errors import DeadLetterNotFound, OptionInvalid, RunNotFailed, RunNotFound
from engine.store.store import Store
from engine.store.wire import Wire
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.run import RunState


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

    def bulk(
        self,
        act: str,
        wanted: RunFilter,
        *,
        at_most: int | None = None,
        dry_run: bool = False,
        tell: Tell = lambda _tally: None,
    ) -> Tally:
        """Cancels, retries or replays every run that passes a filter.

        Args:
            act: `cancel` (running runs), `retry` (failed ones) or `replay` (those in an ended
                state, which the filter must name).
            wanted: Which; see `run_filter`.
            at_most: How many at most; None is all.
            dry_run: Count and act on none.
            tell: Is told after each batch of 200.

        Raises:
            OptionInvalid: There is no such act, or the filter's state does not go with it.
            StoreError: The store did not answer; what was acted on until then stays so.
        """
        acts = {"cancel": self._cancel, "retry": self._retry, "replay": self._replay}
        if act not in acts:
            raise OptionInvalid("act", act, "cancel, retry or replay")
        if act == "cancel":
            wanted = in_state(wanted, RunState.RUNNING)
        elif act == "retry":
            wanted = in_state(wanted, RunState.FAILED)
        elif wanted.state is None or not RunState(wanted.state).ended:
            raise OptionInvalid("state", wanted.state, "completed, failed or cancelled")
        return over_runs(
            self._store(), wanted, acts[act], at_most=at_most, dry_run=dry_run, tell=tell
        )

    def redrive(
        self,
        wanted: LetterFilter,
        *,
        at_most: int | None = None,
        dry_run: bool = False,
        tell: Tell = lambda _tally: None,
    ) -> Tally:
        """Puts every dead letter of a queue that passes a filter back to work; as `bulk`.

        Raises:
            UnknownQueue: There is no such queue.
        """
        return over_letters(
            self._store(), wanted, self._redrive, at_most=at_most, dry_run=dry_run, tell=tell
        )

    def _redrive(self, message: str) -> bool:
        try:
            operate.redrive(self._store(), message)
        except DeadLetterNotFound:
            return False
        return True

    def _cancel(self, run_id: str) -> bool:
        try:
            return operate.cancel(self._store(), run_id)
        except RunNotFound:
            return False

    def _retry(self, run_id: str) -> bool:
        try:
            outcome = self.retry(run_id)
        except (RunNotFailed, RunNotFound):
            return False
        for letter in outcome.letters:
            if letter.verdict not in {"redriven", DeadLetterNotFound.code}:
                raise operate.RedriveRefused(letter.message, letter.verdict)
        return True

    def _replay(self, run_id: str) -> bool:
        self.replay(run_id)
        return True

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
