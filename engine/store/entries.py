"""What goes into and comes out of the scripts: messages, starts, deliveries and endings.

The room owns the shapes and their packing. Order of fields is the order that the scripts unpack; a
test holds both against each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder().decode


_PLAIN_SEND = 6  # without a delay
_TEXT_HEAD = 5  # bytes in front of what `text` holds


def text(value: bytes) -> msgspec.Raw:
    """Bytes as the scripts can read them: their msgpack has strings, no binary type."""
    return msgspec.Raw(b"\xdb" + len(value).to_bytes(4, "big") + value)


class Outgoing(NamedTuple):
    """A plain Dramatiq message on its way in.

    Attributes:
        id: Delivery id, unique for every enqueue.
        priority: 0 to 9, higher is sooner.
        allowed: Proven deaths of a process that are forgiven.
        body: The encoded message.
        digest: Idempotency digest, or None.
    """

    id: str
    queue: str
    tenant: str
    priority: int
    allowed: int
    delay_ms: int
    body: bytes
    digest: str | None = None
    ttl_ms: int = 0

    def packed(self) -> bytes:
        """As the script reads it."""
        return pack((*self[:6], text(self.body), self.digest or False, self.ttl_ms))

    def in_outbox(self) -> tuple[Any, ...]:
        """As an entry of an `Ending`'s outbox."""
        return (*self[:6], text(self.body))


class Claim(NamedTuple):
    """An idempotency key: explicit if `window_ms` is 0, else a digest of content."""

    type: str
    digest: str
    window_ms: int
    ttl_ms: int
    restart: bool = False


class Beginning(NamedTuple):
    """A run on its way in; `edges` as `lua/include/edges.lua` wants them, bytes as `text`.

    It is kept for `keep_ms` from its end and, if it failed, `failed_keep_ms`; None leaves that to
    the commit that ends it.
    `attributes` are words `name=value`; `notes` are fields and values for the run's hash, in turn.
    """

    run: str
    pipeline: str
    plan: str
    tenant: str
    keep_ms: int
    delay_ms: int
    edges: list[tuple[Any, ...]]
    key: str | None
    claim: Claim | None
    failed_keep_ms: int | None = None
    attributes: tuple[str, ...] = ()
    notes: tuple[Any, ...] = ()

    def packed(self) -> bytes:
        """As the script reads it."""
        claim = self.claim or (False, "", 0, 0, False)
        failed = False if self.failed_keep_ms is None else str(self.failed_keep_ms)
        last = (failed, self.attributes or False, self.notes or False)
        return pack((*self[:4], str(self.keep_ms), *self[5:7], self.key or False, *claim, *last))

    def plain(self) -> list[bytes | str | int] | None:
        """The arguments of `start_one`; None if more than one message is to be sent now.

        A claim under another key than the caller's is not for it either, nor a life of its own if
        it fails, nor anything to be found or kept by.
        """
        if self.failed_keep_ms is not None or self.attributes or self.notes or self.delay_ms:
            return None
        if len(self.edges) != 1:
            return None
        if self.edges[0][0] != "send" or len(self.edges[0]) > _PLAIN_SEND:
            return None
        ttl_ms = 0
        if self.claim is not None:
            type_, digest, window_ms, ttl_ms, _ = self.claim
            if window_ms or type_ != self.pipeline or digest != self.key:
                return None
        elif self.key:
            return None
        _, position, queue, priority, allowed, body = self.edges[0]
        return [
            *(self.run, self.pipeline, self.plan, self.tenant, self.keep_ms),
            *(self.key or "", max(ttl_ms, 1), position, queue, priority, allowed),
            bytes(body)[_TEXT_HEAD:],
        ]


class Full(NamedTuple):
    """A queue that did not take a message or a run; `depth` is what it holds."""

    queue: str
    depth: int


class Results(NamedTuple):
    """Results of a join that are still to be read: too many for the reply of a fetch."""

    join: str
    members: int


class Delivery(NamedTuple):
    """One lease of one message.

    Attributes:
        token: Delivery (fencing) token.
        kind: s stage, j stage fed by a join, e by an item, t timer of a wait, u undoing stage,
            d plain Dramatiq, ? unreadable.
        attempt: Number of this try, from 1.
        due_at_ms: When it became runnable.
        inputs: Raw results of a join's members; or an each's template and the item; or None.
        results: What to read in their place.
    """

    id: str
    token: int
    kind: str
    attempt: int
    due_at_ms: int
    queue: str
    tenant: str
    body: bytes
    inputs: list[bytes] | None
    results: Results | None = None


class Batch(NamedTuple):
    """What one fetch brought; `due_in_ms` is -1 when nothing is due."""

    now_ms: int
    due_in_ms: int
    suspects_wait: bool
    more: bool
    deliveries: list[Delivery]


class Ending(NamedTuple):
    """How a delivery ended; see `lua/commit.lua` for the verbs. `pack` packs it as it is.

    Numbers that the script only passes on are text.
    """

    id: str
    token: str
    kind: str
    queue: str
    tenant: str
    verb: str
    attempt: str = "0"
    wait_ms: str = "0"
    run_ms: str = "0"
    delay_ms: int = 0
    reason: str = ""
    story: str = ""
    edges: list[tuple[Any, ...]] | tuple[()] = ()
    outbox: list[tuple[Any, ...]] | tuple[()] = ()
    stage: str = ""
    result: msgspec.Raw | bool = False
    input: msgspec.Raw | bool = False


class Pulse(NamedTuple):
    """The answer to a beat."""

    now_ms: int
    held: int
    work_waits: bool
    paused: frozenset[str]
    cancelled: frozenset[str]


def _place_of(inputs: list[bytes] | None) -> tuple[str, str]:
    """Where the script found an unreadable record: (queue, tenant)."""
    if not inputs:
        return "default", "unknown"
    return inputs[0].decode(), inputs[1].decode()


def delivery_of(raw: list[Any]) -> Delivery:
    """Reads one delivery of a fetch reply; a record without a readable header has kind `?`."""
    identity, token, record, inputs = raw
    head, _, body = record.partition(b"\n")
    try:
        kind, attempt, _, _, _, due, queue, tenant = head.decode().split(" ")
        results = None
        if kind == "j":  # its first line names the join
            join, _, body = body.partition(b"\n")
            if type(inputs) is int:
                results = Results(join.decode(), inputs)
                inputs = None
        return Delivery(
            identity.decode(),
            int(token),
            kind,
            int(attempt),
            int(due),
            queue,
            tenant,
            body,
            inputs,
            results,
        )
    except ValueError:
        return Delivery(identity.decode(), int(token), "?", 0, 0, *_place_of(inputs), record, None)
