"""The beat: tells the store every second that this process lives, and obeys what comes back.

The beat stops when the pump has made no progress for ten seconds: a process that cannot work must
not keep leases. It also notices leases that one side has and the other has not, and a dead master.
"""

from __future__ import annotations

import threading
import time

from dramatiq.logging import get_logger

from engine.broker.master import Master
from engine.broker.pump import Pump
from engine.errors import ScriptRefused, StoreError
from engine.store.connection import Link

BEAT_S = 1.0
GAP_MS = 3_000
_STUCK_S = 10.0


class Beat:
    """Beats for one pump.

    Args:
        pump: Holds the leases that the beats keep.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._logger = get_logger(__name__, type(self))  # type: ignore[no-untyped-call]
        self._stopped = threading.Event()
        self._master = Master(pump)
        self._since_ms = 0
        self._differed = 0
        self._thread = threading.Thread(target=self._run, name="callboard-beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        link = self._pump.store.links.take()
        while not self._stopped.wait(BEAT_S):
            self._master.look()
            if time.monotonic() - self._pump.progress_at > _STUCK_S:
                self._logger.error("The pump has made no progress for %.0f s: no beat.", _STUCK_S)
                continue
            try:
                self._beat(link)
            except ScriptRefused as error:
                if error.reason == "GONE":
                    self._logger.warning(
                        "This process was taken for dead; it goes on under a new name."
                    )
                    self._pump.forget_held()
                else:
                    self._logger.error("The store refused a beat: %s", error)  # noqa: TRY400
            except StoreError as error:
                self._logger.warning("No beat: %s", error)
            except Exception:
                self._logger.critical(
                    "The beat met an unexpected error and goes on.", exc_info=True
                )
        link.close()

    def _beat(self, link: Link) -> None:
        pump = self._pump
        if not pump.enlisted:
            return
        held = pump.holding
        pulse = pump.store.transit.beat(
            link,
            pump.consumer,
            pump.queues,
            self._since_ms,
            silence_ms=pump.rules.silence_ms(pump.queues),
            gap_ms=GAP_MS,
        )
        self._since_ms = pulse.now_ms - 5_000
        pump.obey(pulse.paused, pulse.cancelled, work_waits=pulse.work_waits)
        self._differed = self._differed + 1 if pulse.held != held else 0
        if self._differed >= 2:
            self._differed = 0
            pump.reconcile()
