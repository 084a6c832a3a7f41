"""Messages in motion: enqueue, start, fetch, commit and the life of a consumer.

Each function is one script; its signature is the contract that the script's header states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.store.connection import Link, Links
from engine.store.entries import (
    Batch,
    Beginning,
    Ending,
    Full,
    Outgoing,
    Pulse,
    delivery_of,
    pack,
)

ARGUMENT_BYTES = 256 * 1024
COMMITTED_AT_MOST = 128
SENT_AT_MOST = 256

Call = tuple[str, list[Any]]
Verdict = tuple[str, str] | Full | None
Depths = Mapping[str, int]
NO_DEPTHS: Depths = {}


class Transit:
    """The scripts that move messages.

    Args:
        links: Connections to the shard.
        failed_keep_ms: How long failed runs are kept.
        unknown_grace_ms: How long a message of an unknown stage is offered before it dies.
    """

    def __init__(self, links: Links, *, failed_keep_ms: int, unknown_grace_ms: int) -> None:
        self.links = links
        self._failed_keep_ms = failed_keep_ms
        self._unknown_grace_ms = unknown_grace_ms

    def enqueue(
        self, call: str, messages: Sequence[Outgoing], most: Depths = NO_DEPTHS
    ) -> list[str | Full]:
        """Puts messages on their queues; see `enqueue_slice`."""
        return self.enqueue_slice(call, [message.packed() for message in messages], most)

    def enqueue_slice(
        self, call: str, packed: Sequence[bytes], most: Depths = NO_DEPTHS
    ) -> list[str | Full]:
        """Puts messages on their queues, given packed `Outgoing`s.

        Args:
            call: Id of this call; calling again with it changes nothing and answers the same.
            packed: At most `SENT_AT_MOST`, together at most `ARGUMENT_BYTES`.
            most: Queue to the messages it may hold; a full queue takes none.

        Returns:
            For each message `enqueued`, the id of the message that holds its idempotency key, or
            the full queue that did not take it.
        """
        reply = self.links.call("enqueue", [call, _depths(most), *packed])
        return [
            verdict.decode() if isinstance(verdict, bytes) else _full(verdict) for verdict in reply
        ]

    def start(self, runs: Iterable[bytes], most: Depths = NO_DEPTHS) -> list[Verdict]:
        """Begins runs, given packed `Beginning`s; see the verdicts.

        Args:
            runs: At most `SENT_AT_MOST`, together at most `ARGUMENT_BYTES`.
            most: Queue to the messages it may hold; a run begins in none that is full.

        Returns:
            For each run None if it has started, else (run that holds the key, its state), or the
            full queue that did not take it.

        Raises:
            ScriptRefused: `PLAN_MISSING`: store the plan first. Nothing was started.
        """
        return [_verdict(raw) for raw in self.links.call("start", [_depths(most), *runs])]

    def start_one(self, beginning: Beginning) -> bool:
        """Begins a run the short way.

        Returns:
            Whether it has begun; if not, nothing was done, and `start` says why or begins it.
        """
        arguments = beginning.plain()
        return arguments is not None and self.links.call("start_one", arguments) == 1

    def start_slices(
        self, slices: Sequence[list[bytes]], most: Depths = NO_DEPTHS
    ) -> list[Verdict]:
        """Like `start` for many slices, written together so that server and client work at once."""
        depths = _depths(most)
        link = self.links.take()
        try:
            replies = link.calls([("start", [depths, *runs]) for runs in slices])
        finally:
            self.links.give(link)
        return [_verdict(verdict) for reply in replies for verdict in reply]

    def fetch_call(
        self,
        consumer: str,
        number: int,
        wanted: int,
        idle: bool,
        queues: Sequence[tuple[str, int]],
        *,
        stays_busy: bool = False,
    ) -> Call:
        """The call that leases up to `wanted` messages; `queues` are (name, share).

        A share below 0 is also the most that its queue may give. A consumer that `stays_busy`
        cannot empty itself now and is not asked to.
        """
        state = 1 if idle else ("-" if stays_busy else 0)
        arguments: list[Any] = [consumer, number, wanted, state]
        for name, share in queues:
            arguments += (name, share)
        return "fetch", arguments

    @staticmethod
    def batch_of(reply: list[Any]) -> Batch:
        """Reads the reply of a fetch."""
        now, due, suspects, more, *raw = reply
        return Batch(now, due, bool(suspects), bool(more), [delivery_of(entry) for entry in raw])

    def commit_call(self, consumer: str, number: int, endings: Sequence[bytes]) -> Call:
        """The call that ends deliveries, given packed `Ending`s; at most `COMMITTED_AT_MOST`."""
        return "commit", [consumer, number, self._failed_keep_ms, self._unknown_grace_ms, *endings]

    def commit(self, link: Link, consumer: str, number: int, endings: Sequence[bytes]) -> list[str]:
        """Ends deliveries; see `commit_call`. Returns a verdict each."""
        reply = link.calls([self.commit_call(consumer, number, endings)])[0]
        return [verdict.decode() for verdict in reply]

    def fetch(
        self,
        link: Link,
        consumer: str,
        number: int,
        wanted: int,
        queues: Sequence[tuple[str, int]],
        *,
        idle: bool = False,
    ) -> Batch:
        """Leases up to `wanted` messages; the same number asked again returns the same batch."""
        return self.batch_of(
            link.calls([self.fetch_call(consumer, number, wanted, idle, queues)])[0]
        )

    def enlist(
        self,
        consumer: str,
        host: str,
        pid: int,
        version: str,
        limits: Sequence[tuple[str, int | None]],
        *,
        silence_ms: int = 10_000,
    ) -> None:
        """Registers a consumer and the global concurrency that its settings give to each queue.

        It is taken for dead when it has not beaten for `silence_ms`.
        """
        arguments: list[Any] = [consumer, host, pid, version, silence_ms]
        for queue, limit in limits:
            arguments += (queue, "" if limit is None else limit)
        self.links.call("enlist", arguments)

    def beat(
        self,
        link: Link,
        consumer: str,
        queues: Sequence[str],
        since_ms: int,
        *,
        silence_ms: int,
        gap_ms: int,
    ) -> Pulse:
        """Notes life, returns what is due of the dead, and answers with what the process must know.

        Raises:
            ScriptRefused: `GONE`: the consumer was taken for dead.
        """
        arguments: list[Any] = [
            consumer,
            silence_ms,
            gap_ms,
            self._failed_keep_ms,
            since_ms,
            *queues,
        ]
        now, held, waits, paused, cancelled = link.call("beat", arguments)
        return Pulse(
            now,
            held,
            bool(waits),
            frozenset(name.decode() for name in paused),
            frozenset(run.decode() for run in cancelled),
        )

    def retire(self, consumer: str) -> int:
        """A consumer leaves; returns how many leases it left to the reap."""
        return int(self.links.call("retire", [consumer]))

    def reconcile(
        self, link: Link, consumer: str, held: Sequence[str], *, token_seen: int | None = None
    ) -> list[str]:
        """Gives back leases that the server has and the process does not know of.

        Args:
            link: The connection.
            consumer: Whose leases.
            held: What the process holds.
            token_seen: The highest token it has seen; None gives back whatever is not held.
        """
        arguments = [consumer, "" if token_seen is None else token_seen, *held]
        return [message.decode() for message in link.call("reconcile", arguments)]


def _verdict(raw: Any) -> Verdict:
    if raw == b"started":
        return None
    return _full(raw) if len(raw) == 3 else (raw[0].decode(), raw[1].decode())


def _full(raw: Any) -> Full:
    return Full(raw[1].decode(), int(raw[2]))


def _depths(most: Depths) -> bytes:
    return pack(most) if most else b""


def slices_of(packed: Sequence[bytes]) -> list[list[bytes]]:
    """Cuts packed entries so that no call exceeds its bounds; order is kept."""
    slices: list[list[bytes]] = []
    current: list[bytes] = []
    size = 0
    for entry in packed:
        if current and (len(current) >= SENT_AT_MOST or size + len(entry) > ARGUMENT_BYTES):
            slices.append(current)
            current, size = [], 0
        current.append(entry)
        size += len(entry)
    if current:
        slices.append(current)
    return slices


__all__ = ["Beginning", "Ending", "Outgoing", "Transit", "slices_of"]
