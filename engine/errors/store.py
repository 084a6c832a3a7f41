"""Errors of the store: it cannot be reached, is full, is not fit for use, or refused a script.

Owns: everything under `StoreError`, and `QueueFull`. Must not: import the store's client; the store
translates its client's errors into these.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors.tree import CallboardError, shown


class StoreError(CallboardError):
    """The store did not do what was asked; the message says what is known to have changed."""

    code = "store_error"


class StoreUnreachable(StoreError):
    """No answer from the store. What was asked may or may not have happened; repeating is safe."""

    code = "store_unreachable"

    def __init__(self, address: str, problem: str) -> None:
        self.address, self.problem = address, problem
        super().__init__(
            f"The store at {address} does not answer: {problem}. Check REDIS_URL and the server; "
            "asking again with the same ids is safe."
        )


class StoreFull(StoreError):
    """The store is at its memory limit; new work is refused, running work goes on."""

    code = "store_full"

    def __init__(self, problem: str = "maxmemory is reached") -> None:
        self.problem = problem
        super().__init__(
            f"The store takes no new work: {problem}. Nothing was written. Raise maxmemory, purge "
            "finished runs or shorten retention, then send again."
        )


class StoreBusy(StoreError):
    """The server cannot write just now: it loads, is a replica, fails over, or its disk is full."""

    code = "store_busy"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"The store cannot write now: {problem}. Nothing was written. Workers hold what they "
            "have finished and go on by themselves; send again when the server has recovered."
        )


class StoreTooOld(StoreError):
    """The server is older than the scripts need."""

    code = "store_too_old"

    def __init__(self, version: str, needed: str = "7.0") -> None:
        self.version, self.needed = version, needed
        super().__init__(
            f"The server reports version {version}; Redis {needed} or newer, or Valkey, is needed. "
            "Upgrade the server or point REDIS_URL to another one."
        )


class StoreMisconfigured(StoreError):
    """A setting of the server would lose work, such as an eviction policy."""

    code = "store_misconfigured"

    def __init__(self, setting: str, value: object, needed: str) -> None:
        self.setting, self.value, self.needed = setting, shown(value), needed
        super().__init__(
            f"The server has {setting}={shown(value)}, which would lose work. Set it to {needed}."
        )


class SchemaMismatch(StoreError):
    """The store was written by a release that cannot share it with this one."""

    code = "schema_mismatch"

    def __init__(self, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(
            f"The store has schema {shown(found)}, this release writes {shown(expected)}. Run "
            "releases at most one minor version apart, or migrate the store first."
        )


class ScriptRefused(StoreError):
    """A script refused its arguments before its first write; nothing was written."""

    code = "script_refused"

    def __init__(self, script: str, reason: str, detail: str = "") -> None:
        self.script, self.reason, self.detail = script, reason, detail
        super().__init__(
            f"Script {script!r} refused: {reason}{f' ({detail})' if detail else ''}. Nothing was "
            "written; docs/errors lists the remedy of each reason."
        )


class NotReplicated(StoreError):
    """Runs have started, but fewer replicas than `wait_replicas` confirmed them in time.

    `runs` has an entry for each input: the id of its run, None where it was refused.
    """

    code = "not_replicated"

    def __init__(
        self, confirmed: int, wanted: int, within_ms: int, runs: Sequence[str | None] = ()
    ) -> None:
        self.confirmed, self.wanted, self.within_ms = confirmed, wanted, within_ms
        self.runs = tuple(runs)
        named = f" {self.runs[0]}" if len(self.runs) == 1 else f"s, {len(self.runs):,} of them,"
        super().__init__(
            f"The run{named} started, but {confirmed} of {wanted} replicas confirmed within "
            f"{within_ms:,} ms: a failover now may lose what started. It goes on by itself; do not "
            "start it again without a key. Check the replicas, or lower wait_replicas."
        )


class QueueFull(StoreError):
    """The queue holds as many messages as its limit allows; what was refused was not enqueued.

    `accepted` is empty for one start or message. In bulk it has an entry for each input: the id of
    its run or message where it was taken, None where it was refused.
    """

    code = "queue_full"

    def __init__(
        self, queue: str, depth: int, limit: int, accepted: Sequence[str | None] = ()
    ) -> None:
        self.queue, self.depth, self.limit, self.accepted = queue, depth, limit, tuple(accepted)
        refused = self.accepted.count(None)
        what = "Nothing was enqueued"
        if self.accepted:
            what = f"{refused:,} of {len(self.accepted):,} were refused, see `accepted` for which"
        super().__init__(
            f"Queue {queue!r} holds {depth:,} messages; its limit is {limit:,}. {what}. "
            "Send later, add workers, or raise the queue's max_depth."
        )
