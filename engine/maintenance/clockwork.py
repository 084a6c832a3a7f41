"""The clockwork: calls a function in a while, or every so often, on threads of its own.

Owns: the only use of APScheduler. Must not: know duties, or keep anything over a restart: what is
due is in the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

# Late is better than never, and once is enough for all that was missed.
_DEFAULTS = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
_THREADS = 4


class Clockwork:
    """Timers by name; runs within a `with` block, whose end waits for what is being called."""

    def __init__(self) -> None:
        # It logs each call at INFO, and one that is still running as a warning a period.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._lock = threading.Lock()
        self._ended = False
        self._scheduler: Any = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(_THREADS)},
            job_defaults=_DEFAULTS,
            daemon=True,
        )

    def every(self, name: str, period_ms: int, call: Callable[[], None]) -> None:
        """Calls now and once a period; never twice at a time."""
        seconds, now = period_ms / 1000, datetime.now(UTC)
        self._scheduler.add_job(call, "interval", seconds=seconds, id=name, next_run_time=now)

    def once(self, name: str, delay_ms: int, call: Callable[[], None]) -> None:
        """Calls in a while, unless the end is near; takes the place of a timer of the same name."""
        at = datetime.now(UTC) + timedelta(milliseconds=delay_ms)
        with self._lock:
            if not self._ended:
                # A call may set its own timer anew before it has returned.
                self._scheduler.add_job(
                    call, "date", run_date=at, id=name, replace_existing=True, max_instances=2
                )

    def waits(self, name: str) -> bool:
        """Whether a timer of this name is set."""
        with self._lock:
            return self._ended or self._scheduler.get_job(name) is not None

    def forget(self, name: str) -> None:
        """Takes a timer back; what it has called goes on."""
        with self._lock, suppress(JobLookupError):
            if not self._ended:
                self._scheduler.remove_job(name)

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It waits for the calls while it holds the lock of its timers: none may touch one any more.
        with self._lock:
            self._ended = True
        self._scheduler.shutdown(wait=True)
