"""The worktable: messages that wait in this process until one of Dramatiq's threads takes them up.

It stands in for the work queue of Dramatiq's worker. Threads of one process share one interpreter
lock: when attempts keep it busy, more threads only pass it around. So the table keeps as many hands
busy as pay: it halves them while the process computes all the time, and doubles them while work
waits and the processor does not.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, PriorityQueue
from typing import Any

from dramatiq.worker import Worker

from engine.broker.handed import Handed

_LOOK_EVERY_S = 0.003
# Shares of one core. Above the one another thread gains little; below the other, attempts wait for
# something else than the interpreter. They lie apart because a crowded machine makes a busy process
# look idle.
_BUSY = 0.6
_WAITING = 0.35


class Item:
    """What Dramatiq's worker expects of its queue's entries."""

    __slots__ = ("message", "priority")

    def __init__(self, priority: int, message: Handed) -> None:
        self.priority = priority
        self.message = message


class Worktable(PriorityQueue[Any]):
    """A priority queue with batches, a limited number of busy takers, and taking back.

    Lower priorities are taken first, as in Dramatiq; equal ones in the order they came.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._lanes: dict[int, deque[Any]] = {}
        self._order: list[int] = []
        self._size = 0
        self._idle: list[threading.Lock] = []
        self._threads = threads
        self._hands = threads
        self._taking = 0
        self._taken = 0
        self._looked_at = time.monotonic()
        self._computed = time.process_time()

    # -- giving -----------------------------------------------------------------------------------

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        with self.mutex:
            self._lay(item)
            self._call_one()

    def put_all(self, items: Sequence[Item]) -> None:
        """Lays a batch down and calls one idle thread; it calls the next if there is need."""
        with self.mutex:
            for item in items:
                self._lay(item)
            self._call_one()

    # -- taking -----------------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self.mutex:
            self._taking -= 1 if self._taking > 0 and block else 0
            deadline = None if timeout is None else time.monotonic() + timeout
            while not self._size or (block and self._taking >= self._hands):
                if not block:
                    raise Empty
                if not self._wait(deadline):
                    if self._size:
                        break
                    raise Empty
                if self._size:
                    break
            if block:
                self._taking += 1
            item = self._pick()
            if self._size and self._idle and self._taking < self._hands:
                self._call_one()
            return item

    def look(self) -> None:
        """Decides how many hands pay. Called by the pump at every turn; cheap."""
        now = time.monotonic()
        past = now - self._looked_at
        if past < _LOOK_EVERY_S:
            return
        computed = time.process_time()
        busy = (computed - self._computed) / past
        self._looked_at, self._computed = now, computed
        with self.mutex:
            if busy >= _BUSY:
                self._hands = max(1, self._hands // 2)
            elif busy < _WAITING and self._size:
                self._hands = min(self._threads, self._hands * 2)
                self._call_one()

    @property
    def waits(self) -> bool:
        """Whether something lies here that an idle thread might take."""
        return bool(self._size and self._idle)

    def take_back(self, goes_back: Callable[[Handed], bool]) -> list[Handed]:
        """Removes and returns the messages that `goes_back` names."""
        taken: list[Handed] = []
        with self.mutex:
            for priority, lane in self._lanes.items():
                back = [item for item in lane if goes_back(item.message)]
                if back:
                    gone = {id(item) for item in back}
                    self._lanes[priority] = deque(item for item in lane if id(item) not in gone)
                    taken += [item.message for item in back]
            self._size -= len(taken)
            self.unfinished_tasks -= len(taken)
            if taken and self.unfinished_tasks == 0:
                self.all_tasks_done.notify_all()
        return taken

    def _qsize(self) -> int:
        return self._size

    # -- under the mutex --------------------------------------------------------------------------

    def _lay(self, item: Any) -> None:
        lane = self._lanes.get(item.priority)
        if lane is None:
            lane = self._lanes[item.priority] = deque()
            self._order = sorted(self._lanes)
        lane.append(item)
        self._size += 1
        self.unfinished_tasks += 1

    def _pick(self) -> Any:
        self._size -= 1
        for priority in self._order:
            if lane := self._lanes[priority]:
                return lane.popleft()
        raise AssertionError("the size and the lanes of a worktable differ")

    def _call_one(self) -> None:
        if self._idle:
            self._idle.pop().release()  # the last to go idle has the warmest caches

    def _wait(self, deadline: float | None) -> bool:
        """Waits to be called; False when the deadline has come first."""
        lock = threading.Lock()
        lock.acquire()
        self._idle.append(lock)
        self.mutex.release()
        try:
            remaining = -1 if deadline is None else max(deadline - time.monotonic(), 0)
            called = lock.acquire(timeout=remaining)
        finally:
            self.mutex.acquire()
        if not called:
            if lock in self._idle:
                self._idle.remove(lock)
            else:
                called = True
        return called


class Workplace:
    """The worker of this process and its table; empty before it boots and after it has gone."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self.table: Worktable | None = None

    def open(self, worker: Worker) -> None:
        """Called when a worker boots, before its threads start: gives it our table."""
        self.table = Worktable(worker.worker_threads)
        worker.work_queue = self.table
        self._worker = worker

    def close(self) -> None:
        self._worker = self.table = None

    def serves(self, queue: str) -> bool:
        """Whether the worker's threads can take messages of a queue and give them back."""
        return self._worker is not None and queue in self._worker.consumers

    def lay(self, batch: Sequence[tuple[int, Handed]]) -> None:
        """Lays messages with their actors' priorities on the table."""
        assert self.table is not None
        self.table.put_all([Item(priority, handed) for priority, handed in batch])

    def take_back(self, goes_back: Callable[[Handed], bool]) -> list[Handed]:
        return self.table.take_back(goes_back) if self.table else []
