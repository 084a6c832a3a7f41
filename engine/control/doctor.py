"""The doctor: is this store fit for durable work, and does somebody work? Says what to change.

Owns the judgement. The store tells the facts; nothing is changed by looking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from engine.errors import StoreError
from engine.store.keys import SCHEMA_VERSION
from engine.store.server import ServerFacts
from engine.store.store import Store

_OLDEST_VERSION = (7, 0)
_CLOCK_OFF_MS = 5_000
_SLOW_PING_MS = 5.0
_LAG_MS = 60_000
_NEARLY_FULL = 0.8
_SILENT_MS = 15_000


class Grade(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One thing looked at: what was found and, unless it is fine, what to change."""

    what: str
    grade: Grade
    found: str
    change: str = ""


def examine(facts: ServerFacts) -> list[Finding]:
    """Judges the server by what it says of itself."""
    return [judge(facts) for judge in _OF_SERVER]


def examine_work(store: Store) -> list[Finding]:
    """Judges workers, leases, queues and the scheduler; needs a server that is fit for work."""
    return [finding for judge in _OF_WORK for finding in judge(store)]


def unreachable(error: StoreError) -> Finding:
    """The finding about a server that does not answer, or only with an error."""
    return Finding("connection", Grade.FAIL, str(error), "start the server or correct REDIS_URL")


def worst(findings: list[Finding]) -> Grade:
    """Returns the worst grade."""
    order = list(Grade)
    return max((finding.grade for finding in findings), key=order.index, default=Grade.OK)


# -- the server


def _version(facts: ServerFacts) -> Finding:
    found = f"{facts.software} {facts.version}"
    if facts.version_numbers < _OLDEST_VERSION:
        return Finding("version", Grade.FAIL, found, "upgrade to Redis 7.0 or newer, or Valkey")
    return Finding("version", Grade.OK, found)


def _persistence(facts: ServerFacts) -> Finding:
    aof_on = facts.info.get("aof_enabled") == "1"
    if aof_on and facts.info.get("aof_last_write_status", "ok") != "ok":
        remedy = "make room on the server's disk; its log has the reason"
        return Finding("persistence", Grade.FAIL, "the append-only file cannot be written", remedy)
    if aof_on:
        return Finding("persistence", Grade.OK, "append-only file on")
    remedy = "CONFIG SET appendonly yes, and the same in its configuration file"
    if facts.settings.get("save"):
        return Finding("persistence", Grade.WARN, "snapshots only: a crash loses minutes", remedy)
    return Finding("persistence", Grade.FAIL, "off: a restart of the server loses all work", remedy)


def _fsync(facts: ServerFacts) -> Finding:
    policy = facts.settings.get("appendfsync")
    if policy is None:
        return Finding(
            "appendfsync",
            Grade.WARN,
            "unknown: the server forbids CONFIG",
            "look it up with your provider: everysec or always",
        )
    if policy == "no":
        return Finding(
            "appendfsync",
            Grade.WARN,
            "no: a crash of the machine loses what the system had not yet written",
            "CONFIG SET appendfsync everysec (or always)",
        )
    kept = (
        "nothing acknowledged is lost"
        if policy == "always"
        else "up to 2 s may go with the machine"
    )
    return Finding("appendfsync", Grade.OK, f"{policy}: {kept}")


def _eviction(facts: ServerFacts) -> Finding:
    policy = facts.settings.get("maxmemory-policy") or facts.info.get("maxmemory_policy")
    if policy is None:
        return Finding(
            "maxmemory-policy",
            Grade.WARN,
            "unknown: the server forbids CONFIG",
            "make sure that it is noeviction",
        )
    if policy != "noeviction":
        return Finding(
            "maxmemory-policy",
            Grade.FAIL,
            f"{policy} would throw queued work away",
            "CONFIG SET maxmemory-policy noeviction",
        )
    return Finding("maxmemory-policy", Grade.OK, policy)


def _memory(facts: ServerFacts) -> Finding:
    used, most = int(facts.info.get("used_memory", 0)), int(facts.info.get("maxmemory", 0) or 0)
    if not most:
        found = f"{_mb(used)} used, no maxmemory"
        return Finding(
            "memory",
            Grade.WARN,
            found,
            "CONFIG SET maxmemory, so that a full server refuses instead of dying",
        )
    found = f"{_mb(used)} of {_mb(most)} used"
    if used > most * _NEARLY_FULL:
        return Finding("memory", Grade.WARN, found, "raise maxmemory or shorten retention")
    return Finding("memory", Grade.OK, found)


def _role(facts: ServerFacts) -> Finding:
    role = facts.info.get("role", "master")
    if role != "master":
        return Finding("role", Grade.FAIL, f"{role}: it takes no writes", "connect to the primary")
    return Finding("role", Grade.OK, "primary")


def _clock(facts: ServerFacts) -> Finding:
    side = "ahead of" if facts.clock_ahead_ms >= 0 else "behind"
    found = f"server {abs(facts.clock_ahead_ms)} ms {side} this host"
    if abs(facts.clock_ahead_ms) > _CLOCK_OFF_MS:
        return Finding(
            "clock",
            Grade.WARN,
            found,
            "run NTP on both; only the server's clock decides, but logs will not match",
        )
    return Finding("clock", Grade.OK, found)


def _latency(facts: ServerFacts) -> Finding:
    middle, longest = facts.ping_ms[len(facts.ping_ms) // 2], facts.ping_ms[-1]
    found = f"PING {middle:.2f} ms, at most {longest:.2f} ms"
    if middle > _SLOW_PING_MS:
        return Finding("latency", Grade.WARN, found, "bring workers and server closer together")
    return Finding("latency", Grade.OK, found)


def _schema(facts: ServerFacts) -> Finding:
    if facts.schema is None:
        return Finding("schema", Grade.OK, "nothing stored yet")
    if facts.schema != str(SCHEMA_VERSION):
        return Finding(
            "schema",
            Grade.FAIL,
            f"layout {facts.schema}, this release has {SCHEMA_VERSION}",
            "run releases at most one minor version apart",
        )
    return Finding("schema", Grade.OK, f"layout {facts.schema}")


_OF_SERVER: tuple[Callable[[ServerFacts], Finding], ...] = (
    _version,
    _role,
    _persistence,
    _fsync,
    _eviction,
    _memory,
    _clock,
    _latency,
    _schema,
)


# -- the work


def _workers(store: Store) -> Iterator[Finding]:
    now_ms = store.queues.now_ms()
    consumers = store.queues.consumers()
    silent = [one for one in consumers if now_ms - one.beat_at_ms > _SILENT_MS]
    if silent:
        # Any live worker takes a dead one's leases back within seconds; so none is alive.
        held = sum(one.leases for one in silent)
        yield Finding(
            "leases",
            Grade.WARN,
            f"{held} held by {len(silent)} silent worker processes",
            "start `callboard worker`: it takes them back within 15 s",
        )
    alive = len(consumers) - len(silent)
    if alive:
        yield Finding("workers", Grade.OK, f"{alive} worker processes beat")
    else:
        yield Finding("workers", Grade.WARN, "none is alive", "start `callboard worker`")


def _queues(store: Store) -> Iterator[Finding]:
    now_ms = store.queues.now_ms()
    served = {queue for consumer in store.queues.consumers() for queue in consumer.queues}
    fine = True
    for count in store.queues.count_many(store.queues.names()):
        if count.waiting and count.paused:
            fine = False
            yield Finding(
                "queue",
                Grade.WARN,
                f"{count.queue} is paused with {count.waiting:,} waiting",
                f"callboard resume {count.queue}",
            )
        elif count.waiting and count.queue not in served:
            fine = False
            yield Finding(
                "queue",
                Grade.WARN,
                f"{count.queue} has {count.waiting:,} waiting and no worker",
                f"callboard worker -Q {count.queue}",
            )
        elif (age_ms := store.queues.oldest_ms(count.queue, now_ms)) > _LAG_MS:
            fine = False
            yield Finding(
                "lag",
                Grade.WARN,
                f"{count.queue}: the head has waited {age_ms // 1000} s",
                "add workers, or raise the queue's concurrency",
            )
    if fine:
        yield Finding("lag", Grade.OK, "no queue waits long")


def _dead(store: Store) -> Iterator[Finding]:
    dead = {
        one.queue: one.dead for one in store.queues.count_many(store.queues.names()) if one.dead
    }
    if dead:
        listed = ", ".join(f"{number:,} in {queue}" for queue, number in dead.items())
        yield Finding("dead letters", Grade.WARN, listed, "callboard dead list")
    else:
        yield Finding("dead letters", Grade.OK, "none")


def _scheduler(store: Store) -> Iterator[Finding]:
    leader = store.leader()
    if leader is None or leader[2] < 0:
        yield Finding(
            "scheduler",
            Grade.WARN,
            "no leader: nothing is lost, but nothing is pruned",
            "start `callboard scheduler`",
        )
    else:
        yield Finding("scheduler", Grade.OK, f"{leader[0]} leads, token {leader[1]}")


_OF_WORK: tuple[Callable[[Store], Iterator[Finding]], ...] = (_workers, _queues, _dead, _scheduler)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1_048_576:,.1f} MB"
