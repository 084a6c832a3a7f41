"""The pump: one thread a process that fetches for all its queues and commits what has ended.

It owns everything the process holds between lease and commit. One turn is one write to the store:
the endings gathered since the last turn, and the next fetch. It never gives up: while the store
cannot be written to, endings wait here, bounded by the credit, and go on by themselves.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from dramatiq.logging import get_logger

from engine.broker.committer import Committer
from engine.broker.consumer import QueueConsumer
from engine.broker.credit import Credit
from engine.broker.ear import Ear
from engine.broker.gathered import Gathered
from engine.broker.handed import Handed, dropped, ending_of, expired, hand, released, unknown
from engine.broker.rules import Rules
from engine.broker.solitude import Solitude
from engine.broker.worktable import Workplace
from engine.errors import ScriptRefused, StoreError
from engine.store.connection import Link, named_error, script_missing
from engine.store.entries import Batch, Delivery, Ending
from engine.store.store import Store
from engine.store.transit import Call
from engine.store.wire import Wire

_IDLE_TURN_S = 1.0
_PAUSE_AFTER_ERROR_S = 0.05
_LONGEST_PAUSE_S = 1.0
_AHEAD_AT_MOST_S = 1.0
_LAG_S = 0.003  # how soon another thread is called to work that waits


class Pump:
    """Moves deliveries between the store and Dramatiq's worker.

    Args:
        store: Where messages live.
        wire: Turns outcomes into the scripts' tuples.
        priority_of: Dramatiq's priority of an actor; None if this process has none of that name.
        rules: What the policies of the queues say.
        workplace: The worker's table, where messages wait for a thread.
        on_cancelled: Told which runs are cancelled, so that their attempts are interrupted.
        version: Told to the store with the consumer.
    """

    def __init__(
        self,
        store: Store,
        wire: Wire,
        *,
        credit: Credit,
        priority_of: Callable[[str], int | None],
        rules: Rules,
        workplace: Workplace,
        on_cancelled: Callable[[frozenset[str]], None],
        version: str,
    ) -> None:
        self.store = store
        self.credit = credit
        self.rules = rules
        self.consumer = uuid4().hex
        self.progress_at = time.monotonic()
        self.held: dict[str, Handed] = {}
        self._gathered = Gathered()
        self._arrived: list[Delivery] = []
        self._arrived_at_ms = 0
        self._token_seen = 0
        self.paused: frozenset[str] = frozenset()
        self._logger = get_logger(__name__, type(self))  # type: ignore[no-untyped-call]
        self._wire = wire
        self._priority_of, self._version = priority_of, version
        self._workplace = workplace
        self._on_cancelled = on_cancelled
        self._consumers: dict[str, QueueConsumer] = {}
        self._committer = Committer(store.transit)
        self._waiting = False
        self._work_waits = True
        self._due_at = 0.0
        self._fetching = self._running = True
        self._enlisted: tuple[str, ...] = ()
        self._fetches = 0
        self._solitude = Solitude()
        self._differs = False
        self._ear = Ear(store)
        self._thread = threading.Thread(target=self._run, name="callboard-pump", daemon=True)

    # -- for Dramatiq's threads ------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def attach(self, consumer: QueueConsumer) -> None:
        self._consumers[consumer.queue] = consumer
        self.nudge()

    def detach(self, consumer: QueueConsumer) -> None:
        if self._consumers.get(consumer.queue) is consumer:
            del self._consumers[consumer.queue]

    def _listened_for(self) -> list[str]:
        serving = [queue for queue in self._consumers if queue not in self.paused]
        return self.rules.open(serving, self._held_by_queue)

    def _held_by_queue(self) -> Counter[str]:
        """Leases of each queue as they will be when the group in hand is committed."""
        leaving = self._committer.leaving_ids
        stays = (h.queue_name for i, h in list(self.held.items()) if i not in leaving)
        return Counter(stays) + Counter(delivery.queue for delivery in self._arrived)

    @property
    def queues(self) -> list[str]:
        return list(self._consumers)

    def finish(self, handed: Handed) -> None:
        """A processed message: its ending joins the next commit. Does not wait for the store."""
        if handed.attempt and handed.attempt.deferral:
            self._gathered.add(handed, handed.attempt.deferral, self._finish)
            return
        if handed.begun_at:
            self.credit.note((time.monotonic() - handed.begun_at) * 1000)
        self._finish(handed)

    def _finish(self, handed: Handed) -> None:
        self._end(ending_of(handed, self._wire), handed)

    def release(self, handed: Handed) -> None:
        """A message that was not begun goes back to its place."""
        self._end(released(handed), handed)

    def nudge(self) -> None:
        """Makes the pump look for work now."""
        self._work_waits = True
        self._ear.ring()

    def forget_held(self) -> None:
        """The store took this process for dead: what it holds is others' work now."""
        self._workplace.take_back(lambda _: True)
        self.held.clear()
        self._gathered.forget()
        self._arrived = []
        self.consumer = uuid4().hex
        self._enlisted = ()
        self._solitude.forget()
        self.nudge()

    def stop_fetching(self) -> None:
        self._fetching = False

    def stop(self, timeout_s: float = 30.0) -> None:
        """Commits all that has ended, leaves the store in order and ends the threads."""
        self._fetching = False
        deadline = time.monotonic() + timeout_s
        while self._committer.busy and time.monotonic() < deadline:
            self._ear.ring()
            time.sleep(0.005)
        self._running = False
        self._ear.ring()
        self._thread.join(timeout=5)

    @property
    def holding(self) -> int:
        """How many messages this process has leased and not committed."""
        return len(self.held) + len(self._arrived)

    @property
    def _counted(self) -> int:
        """What counts against the credit: what is gathered for a batch holds no thread."""
        return self.holding - self._gathered.uncounted

    # -- the turn ---------------------------------------------------------------------------------

    def _end(self, ending: Ending, handed: Handed) -> None:
        self._committer.add(ending, handed)
        if self._waiting:
            self._ear.ring()

    def _run(self) -> None:
        link = self.store.links.take()
        pause = _PAUSE_AFTER_ERROR_S
        while self._running:
            self.progress_at = time.monotonic()
            try:
                self._wait_for_cause()
                if table := self._workplace.table:
                    table.look()
                self._enlist()
                self._take_turn(link)
                pause = _PAUSE_AFTER_ERROR_S
            except StoreError as error:
                if isinstance(error, ScriptRefused) and error.reason == "GONE":
                    self.forget_held()
                    continue
                self._logger.warning(
                    "The store does not take part: %s Going on in %.2f s.", error, pause
                )
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                self._work_waits = True
            except Exception:
                self._logger.critical(
                    "The pump met an unexpected error and goes on.", exc_info=True
                )
                time.sleep(_LONGEST_PAUSE_S)
        link.close()
        self._ear.close()

    def _wait_for_cause(self) -> None:
        if self._arrived or self._committer.busy or self._wanted():
            return
        self._waiting = True
        # Looked at again behind the flag: an ending that came in between has not rung.
        if not self._committer.gathering:
            idle = self._fetching and not self._work_waits
            if self._ear.wait(self._idle_for(), self._listened_for() if idle else ()):
                self._work_waits = True
        self._waiting = False

    def _idle_for(self) -> float:
        """Seconds until the pump must look again by itself."""
        table = self._workplace.table
        if table and table.waits:
            return _LAG_S
        due_in = self._due_at - time.monotonic() if self._due_at else _IDLE_TURN_S
        return min(max(due_in, 0.0005), _IDLE_TURN_S)

    def _wanted(self) -> int:
        """How many messages the next fetch asks for; 0 for no fetch."""
        if self._due_at and time.monotonic() >= self._due_at:
            self._work_waits, self._due_at = True, 0.0
        if not self._fetching or not self._consumers or not self._work_waits:
            return 0
        if self._solitude.kept:
            return 0 if self.holding else 1
        room = self.credit.room(self._counted)
        # Small fetches under load would cost a round trip each: wait until half of the way is free.
        few = room * 2 < self.credit.ahead and self._committer.gathering
        return 0 if few else room

    def _enlist(self) -> None:
        queues = tuple(self._consumers)
        if queues == self._enlisted or not self._fetching:
            return
        self.store.transit.enlist(
            self.consumer,
            socket.gethostname(),
            os.getpid(),
            self._version,
            self.rules.limits(queues),
            silence_ms=self.rules.silence_ms(queues),
        )
        self._enlisted = queues
        self._work_waits = True

    def _take_turn(self, link: Link) -> None:
        if self._differs:
            # Between two turns nothing is on its way: what is held is all that can be leased.
            self._differs = False
            self._hand_out()
            self.store.transit.reconcile(
                link, self.consumer, list(self.held), token_seen=self._token_seen
            )
        commit = self._committer.call(self.consumer)
        if commit:
            # What is committed frees room, and may have made work for this very process.
            self._work_waits = True
        wanted = self._wanted_after(self._committer.leaving)
        calls = [call for call in (commit, self._fetch_call(wanted) if wanted else None) if call]
        if not calls:
            self._hand_out()
            return
        # What came last is handed out while the store works on this: neither waits for the other.
        replies = link.exchange(calls, self._hand_out)
        self._load_missing(link, calls, replies)
        if commit:
            self._let_go(self._committer.settle(link, self.consumer, replies[0]))
        if wanted:
            reply = replies[-1]
            if isinstance(reply, Exception):
                raise named_error(reply, "fetch")
            self._fetches += 1
            self._receive(self.store.transit.batch_of(reply), wanted)

    def _wanted_after(self, leaving: int) -> int:
        if not leaving:
            return self._wanted()
        if not self._fetching or not self._consumers:
            return 0
        left = self._counted - leaving
        if self._solitude.kept:
            return 1 if left <= 0 else 0
        return self.credit.room(max(left, 0))

    def _fetch_call(self, wanted: int) -> Call:
        # The number goes on when it is answered: until then the same batch may be on its way.
        queues = self._listened_for()
        idle = self._solitude.kept or not self.holding
        return self.store.transit.fetch_call(
            self.consumer,
            self._fetches + 1,
            wanted,
            idle,
            self.rules.shares(queues, wanted, self._held_by_queue),
            stays_busy=self._solitude.refused,
        )

    def _load_missing(self, link: Link, calls: list[Call], replies: list[Any]) -> None:
        for i, reply in enumerate(replies):
            if script_missing(reply):
                replies[i] = link.call(*calls[i])

    # -- what the beat brings ---------------------------------------------------------------------

    @property
    def enlisted(self) -> bool:
        return bool(self._enlisted)

    def obey(self, paused: frozenset[str], cancelled: frozenset[str], *, work_waits: bool) -> None:
        """Gives back what was not begun of paused queues or behind long attempts.

        What belongs to a cancelled run is dropped.
        """
        self.paused = paused
        if work_waits:
            self.nudge()
        self._on_cancelled(cancelled)
        late = time.monotonic() - _AHEAD_AT_MOST_S

        def goes_back(handed: Handed) -> bool:
            swept = handed.run in cancelled and handed.goes_with_run
            return handed.queue_name in paused or swept or handed.handed_at < late

        for handed in self._workplace.take_back(goes_back):
            if handed.run in cancelled and handed.goes_with_run:
                self._end(dropped(handed), handed)
            else:
                self.credit.surprise()
                self.release(handed)

    def reconcile(self) -> None:
        """The store counts other leases than this process: the next turn names those it has."""
        self._differs = True
        self._ear.ring()

    # -- replies ----------------------------------------------------------------------------------

    def _let_go(self, settled: list[Handed]) -> None:
        for handed in settled:
            if self.held.get(handed.delivery.id) is handed:
                del self.held[handed.delivery.id]
        if not self.holding:
            self._solitude.end()

    def _receive(self, batch: Batch, wanted: int) -> None:
        self._hand_out()  # where the exchange had to be repeated, the last batch is still here
        now = time.monotonic()
        self._due_at = now + batch.due_in_ms / 1000 if batch.due_in_ms >= 0 else 0.0
        self._work_waits = batch.more or len(batch.deliveries) >= wanted or batch.suspects_wait
        self._solitude.learn(batch, holding=bool(self.holding))
        self._token_seen = max((d.token for d in batch.deliveries), default=self._token_seen)
        self._arrived = batch.deliveries
        self._arrived_at_ms = batch.now_ms
        if not self._committer.gathering:
            self._hand_out()  # nothing else is to be sent first

    def _hand_out(self) -> None:
        """Gives what has arrived to the threads, or says what is wrong with it."""
        laid: list[tuple[int, Handed]] = []
        arrived, self._arrived = self._arrived, []
        for delivery in arrived:
            handed = hand(delivery, self._arrived_at_ms)
            self.held[delivery.id] = handed
            priority = self._priority_of(handed.actor_name)
            if handed.sick:
                self.finish(handed)
            elif not self._solitude.alone and (
                why := self.rules.overdue(delivery, self._arrived_at_ms)
            ):
                # A suspect has been begun once: it is under way, however long that took.
                self._end(expired(handed, why), handed)
            elif priority is None:
                self._end(unknown(handed), handed)
            elif self._workplace.serves(delivery.queue):
                laid.append((priority, handed))
            elif consumer := self._consumers.get(delivery.queue):
                consumer.offer(handed)
            else:
                self.release(handed)
        if laid:
            self._workplace.lay(laid)
