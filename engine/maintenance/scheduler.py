"""The scheduler: while it leads, it begins each duty at each of its nominal times.

Owns: the loop of a `callboard scheduler` process. Must not: do a duty itself, or trust its own
clock: the store says what is due and when to ask again.

Any number of schedulers may run. A firing is claimed with the leader's token and begun under a key
that names it, so two that both believe to lead do not double it, and one that dies between claim
and begin leaves it to the next. Of the nominal times that pass while nobody leads, the last one
alone is made up for; one at which the duty still runs is left out.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from functools import partial

from engine.errors import CallboardError, IdempotentRunFailed, StoreError
from engine.maintenance.clockwork import Clockwork
from engine.maintenance.duties import DUTIES, register
from engine.maintenance.duty import TENANT, Duty, Maintained
from engine.maintenance.leadership import Leadership
from engine.telemetry.logs import stage_log

LEASE_MS = 5_000
_RENEWALS_A_LEASE = 4
_AGAIN_MS = 1_000
_RENEWAL = "renewal"

_log = stage_log("callboard.maintenance")


def run(
    engine: Maintained,
    stop: threading.Event | None = None,
    *,
    duties: Sequence[Duty] = DUTIES,
    lease_ms: int = LEASE_MS,
) -> None:
    """Serves until it is stopped, then gives up the leadership if it has it.

    Args:
        engine: Whose duties.
        stop: Ends it when set; None ends it at SIGTERM or SIGINT (main thread only).
        duties: What is to be done.
        lease_ms: How long after a leader's death another takes over; renewed four times as often.
    """
    Scheduler(engine, duties, lease_ms).serve(stop or _stop_at_signals())


class Scheduler:
    """One candidate for the leadership, and what it does while it leads."""

    def __init__(self, engine: Maintained, duties: Sequence[Duty], lease_ms: int) -> None:
        self._engine = engine
        self._duties = duties
        self._stages = register(engine, duties)
        self._leadership = Leadership(engine.store, lease_ms)
        self._renew_ms = lease_ms // _RENEWALS_A_LEASE
        self._clockwork = Clockwork()
        self._led: bool | None = None  # not yet known
        self._troubled = False

    def serve(self, stop: threading.Event) -> None:
        """Renews and fires until `stop` is set."""
        with self._clockwork as clockwork:
            clockwork.every(_RENEWAL, self._renew_ms, self._renew)
            stop.wait()
        try:
            self._leadership.give_up()
        except StoreError as error:
            _log.warning("scheduler.lease_left", problem=str(error))

    def _renew(self) -> None:
        try:
            leads = self._leadership.renew()
        except StoreError as error:
            self._complain(error)
            return
        self._troubled = False
        if leads != self._led:
            self._led = leads
            _log.info("scheduler.leads" if leads else "scheduler.follows")
        self._set_timers(leads)

    def _set_timers(self, leads: bool) -> None:
        """Sees that each duty has a timer, even if its last call went wrong; or that none has."""
        for duty in self._duties:
            if not leads:
                self._clockwork.forget(duty.name)
            elif not self._clockwork.waits(duty.name):
                self._clockwork.once(duty.name, 0, partial(self._fire, duty))

    def _fire(self, duty: Duty) -> None:
        """Begins the duty if it is due, and sets the timer for its next nominal time."""
        again_ms = _AGAIN_MS
        try:
            again_ms = self._claim_and_begin(duty)
        except CallboardError as error:
            self._complain(error)
        if self._leadership.token is not None:
            self._clockwork.once(duty.name, again_ms, partial(self._fire, duty))

    def _claim_and_begin(self, duty: Duty) -> int:
        """Returns after how many ms to ask again."""
        token = self._leadership.token
        if token is None:
            return _AGAIN_MS
        store, candidate = self._engine.store, self._leadership.candidate
        firing = store.duties.claim(candidate, token, duty.name, duty.period_ms)
        if firing.verdict == "deposed":
            self._leadership.lapsed()
        elif firing.verdict == "busy":
            _log.warning("duty.still_runs", duty=duty.name)
        elif firing.verdict == "due":
            run = self._begin(duty, firing.nominal_at_ms)
            store.duties.note_begun(duty.name, firing.nominal_at_ms, run)
        return firing.next_in_ms

    def _begin(self, duty: Duty, nominal_at_ms: int) -> str:
        """Begins the run of a nominal time, or finds the one that another leader has begun."""
        try:
            run = self._engine.start(
                self._stages[duty.name],
                str(nominal_at_ms).encode(),
                tenant=TENANT,
                key=f"{nominal_at_ms}",
                delay_ms=0,
                priority=None,
            )
        except IdempotentRunFailed as error:
            return error.run_id
        return run.id

    def _complain(self, error: CallboardError) -> None:
        """Logs the first trouble of a row."""
        if not self._troubled:
            self._troubled = True
            _log.warning("scheduler.troubled", error=error.code, problem=str(error))


def _stop_at_signals() -> threading.Event:
    stop = threading.Event()

    def obey(*_: object) -> None:
        # The handler interrupts the very thread that waits; if that one is just about to wait, it
        # holds the event's lock.
        threading.Thread(target=stop.set).start()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, obey)
    return stop
