"""Following many runs to their end by the event stream, without asking for each of them.

The stream is bounded, so an event may be trimmed before it is read: whenever none of the runs has
ended for a while, the oldest of those still missing are looked up in bulk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

from engine.control.percentiles import Durations
from engine.store.events import EventRecord
from engine.store.store import Store
from engine.workflow.names import RELAY_STAGE
from engine.workflow.run import RunState

_SILENCE_MS = 3_000
_BATCH = 500
_LOOK_UP = 200
_LOOKED_UP_AT_ONCE = 2_000


class StageTimes(NamedTuple):
    """What happened to one stage over all followed runs."""

    wait: Durations
    run: Durations


class Follower:
    """Knows which of the runs given to `add` have ended, how, and how long their stages took.

    Make it before the first run is started, so that it reads the stream from there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = store.events.newest()
        self._looked_at = time.monotonic()
        self.open: dict[str, None] = {}
        self.states: dict[str, int] = {}
        self.stages: dict[str, StageTimes] = {}
        self.retried = 0
        self.lost: list[str] = []
        self.failed: list[str] = []
        self._mine: set[str] = set()

    @property
    def ended(self) -> int:
        """How many followed runs have ended, in whatever way."""
        return sum(self.states.values())

    def add(self, runs: Iterable[str], *, seen_before: Iterable[str] = ()) -> None:
        """Follows runs.

        Args:
            runs: Ids of runs just started; `read` was not called since.
            seen_before: Ids of runs that existed before; they may have ended long ago.
        """
        known = list(dict.fromkeys(run for run in seen_before if run not in self._mine))
        for run in (*runs, *known):
            self._mine.add(run)
            self.open[run] = None
        self._look_up(known)

    def read(self, wait_ms: int = 0) -> bool:
        """Takes in what has happened since; False if nothing had. Waits up to `wait_ms` for it."""
        any_read = False
        while records := self._store.events.after(self._last, at_most=_BATCH):
            any_read = True
            self._take(records)
        if not any_read and wait_ms:
            records = self._store.events.await_after(self._last, wait_ms, at_most=_BATCH)
            any_read = bool(records)
            self._take(records)
        return any_read

    def until_ended(self, tell: Callable[[], None], *, timeout_ms: int | None = None) -> bool:
        """Follows until all runs have ended; False if the time is over before.

        Args:
            tell: Called several times a second while waiting.
            timeout_ms: None waits as long as it takes.
        """
        deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        while self.open:
            tell()
            if deadline is not None and time.monotonic() > deadline:
                self._look_up(list(self.open))
                return not self.open
            self.read(wait_ms=250)
            if (time.monotonic() - self._looked_at) * 1000 > _SILENCE_MS:
                self._look_up(list(islice(self.open, _LOOKED_UP_AT_ONCE)))
        tell()
        return True

    def _take(self, records: list[EventRecord]) -> None:
        for record in records:
            self._last = record.entry
            if record.facts.get("run", "") in self._mine:
                self._take_one(record.facts)

    def _take_one(self, facts: dict[str, str]) -> None:
        name, run = facts["event"], facts["run"]
        if name.startswith("run.") and name != "run.started":
            state = name.removeprefix("run.")
            self._end(run, state)
        elif name == "stage.completed" and facts.get("stage") != RELAY_STAGE:
            self._time(facts)
        elif name == "stage.retried":
            self.retried += 1

    def _time(self, facts: dict[str, str]) -> None:
        stage = facts.get("stage", "")
        times = self.stages.get(stage)
        if times is None:
            times = self.stages[stage] = StageTimes(Durations(), Durations())
        times.wait.add(int(float(facts.get("wait_ms", 0))))
        times.run.add(int(float(facts.get("run_ms", 0))))

    def _end(self, run: str, state: str) -> None:
        if run not in self.open:
            return  # ended before: a redriven run, or looked up already
        del self.open[run]
        self._looked_at = time.monotonic()
        self.states[state] = self.states.get(state, 0) + 1
        if state == RunState.FAILED and len(self.failed) < _BATCH:
            self.failed.append(run)

    def _look_up(self, runs: list[str]) -> None:
        """Asks the store for runs that no event told about; one that it does not know is lost."""
        for at in range(0, len(runs), _LOOK_UP):
            page = runs[at : at + _LOOK_UP]
            for run, state in zip(page, self._store.runs.states(page), strict=True):
                if state is None:
                    del self.open[run]
                    self.lost.append(run)
                elif RunState(state).ended:
                    self._end(run, state)
        self._looked_at = time.monotonic()
