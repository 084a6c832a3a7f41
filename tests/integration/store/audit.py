"""Holds the books of one namespace against what is really there.

Owns: the invariants that hold between any two calls. Must not: change a key.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from engine.store.keys import SHAPES, KeyShape
from tests.integration.store.stand import Stand


class Places(NamedTuple):
    """Where each message is: id to place, such as `waiting`, `leased by c1`, `dead`."""

    place: dict[str, str]
    queue: dict[str, str]
    tenant: dict[str, str]


_FORMS: list[tuple[str, re.Pattern[str]]] = [
    (name, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(shape.template))))
    for name, shape in sorted(SHAPES.items(), key=lambda item: -len(item[1].template))
]


def shape_of(name: str) -> tuple[str, dict[str, str]] | None:
    """The shape of a key (without its prefix) and its variable parts; the most specific one."""
    for shape, form in _FORMS:
        if match := form.fullmatch(name):
            return shape, match.groupdict()
    return None


def places(stand: Stand) -> Places:
    """Finds every message; one that is in two places, or has a place and no record, fails."""
    client = stand.client
    records = {k.decode(): v for k, v in client.hgetall(stand.key("messages")).items()}
    found = Places({}, {}, {})
    for message, record in records.items():
        _, _, found.queue[message], found.tenant[message] = _header(record)
    for name in stand.names():
        known = shape_of(name)
        assert known, f"no shape for {name}"
        shape, fields = known
        for message in _messages_in(stand, name, shape):
            where = f"leased by {fields['consumer']}" if shape == "lease" else _WHERE[shape]
            assert message not in found.place, f"{message} is {found.place[message]} and {where}"
            found.place[message] = where
            if shape == "waiting":
                owner = (found.queue.get(message), found.tenant.get(message))
                assert owner == (fields["queue"], fields["tenant"])
            if shape == "letter":
                queue, tenant = (
                    v.decode() for v in client.hmget(stand.keys.prefix + name, "queue", "tenant")
                )
                found.queue[message], found.tenant[message] = queue, tenant
                dead = client.zscore(stand.key("dead", queue=queue), message)
                assert dead is not None, f"{name} is in no list"
    for message in records:
        assert found.place.get(message, "dead") != "dead", (
            f"{message} is nowhere, or stored though dead"
        )
    for message, where in found.place.items():
        assert where == "dead" or message in records, f"{message} is {where} without a record"
    return found


_WHERE = {"waiting": "waiting", "delayed": "delayed", "suspects": "suspect", "letter": "dead"}


def _messages_in(stand: Stand, name: str, shape: str) -> list[str]:
    """The messages that a key holds a place for."""
    full = stand.keys.prefix + name
    if shape == "lease":
        return [raw.decode() for raw in stand.client.hkeys(full)]
    if shape == "letter":
        return [name.partition(":")[2]]
    if shape in _WHERE:
        return [raw.decode() for raw in stand.client.zrange(full, 0, -1)]
    return []


def audit(stand: Stand) -> Places:
    """Checks every invariant; returns where the messages are."""
    found = places(stand)
    client = stand.client
    kinds: dict[str, Counter[str]] = {}
    by_tenant: Counter[str] = Counter()
    for message, where in found.place.items():
        kind = {"suspect": "waiting"}.get(where, where.split(" ")[0])
        kinds.setdefault(found.queue[message], Counter())[kind] += 1
        if kind == "leased":
            by_tenant[found.tenant[message]] += 1
    queues = {name.decode() for name in client.smembers(stand.key("queues"))} | set(kinds)
    for queue in queues:
        told = dict(zip(("waiting", "delayed", "leased", "dead"), stand.count(queue), strict=True))
        truth = kinds.get(queue, Counter())
        assert Counter(told) == truth, f"counters of {queue}: {told}, and there are {truth}"
    counted = {k.decode(): int(v) for k, v in client.hgetall(stand.key("leased")).items()}
    if client.exists(stand.key("limits")):  # only then anyone asks
        assert counted == dict(by_tenant), "leases by tenant"
    else:
        assert not counted, "leases are counted that no limit asks for"
    _check_ring(stand, found)
    registered = {raw.decode() for raw in client.zrange(stand.key("consumers"), 0, -1)}
    for name in stand.names():
        shape, fields = shape_of(name) or ("", {})
        if shape in ("consumer", "lease"):
            assert fields["consumer"] in registered, f"{name} has no owner"
    return found


def _check_ring(stand: Stand, found: Places) -> None:
    """Whoever waits is in the ring, or set aside for a cause that will end."""
    client = stand.client
    throttled = {raw.decode() for raw in client.zrange(stand.key("throttled"), 0, -1)}
    aside = {raw.decode() for raw in client.smembers(stand.key("parked", tenant="*"))}
    pairs = {
        (found.queue[m], found.tenant[m]) for m, where in found.place.items() if where == "waiting"
    }
    limits = {k.decode() for k in client.hkeys(stand.key("limits"))}
    for queue, tenant in pairs:
        if client.zscore(stand.key("ring", queue=queue), tenant) is not None:
            continue
        if f"{queue} {tenant}" in throttled | aside:
            continue
        parked = client.sismember(stand.key("parked", tenant=tenant), queue)
        assert parked, f"{tenant} waits in {queue} and nobody knows"
        held = stand.store.queues.leased().get(tenant, 0)
        assert held or tenant in limits, f"{tenant} is parked in {queue} and nothing will free it"


def strays(stand: Stand) -> list[str]:
    """Keys whose type or time to live is not what their shape says."""
    wrong: list[str] = []
    for name in stand.names():
        found = shape_of(name)
        if found is None:
            wrong.append(f"{name}: no shape")
            continue
        shape = SHAPES[found[0]]
        full = stand.keys.prefix + name
        kind = stand.client.type(full).decode()
        if kind != shape.type:
            wrong.append(f"{name}: a {kind}, not a {shape.type}")
        if _dies_by_itself(stand, shape, found[1]) != (stand.client.pttl(full) > 0):
            wrong.append(f"{name}: lives {shape.life}, TTL {stand.client.pttl(full)}")
    return wrong


def _dies_by_itself(stand: Stand, shape: KeyShape, fields: dict[str, str]) -> bool:
    if re.match(r"\d", shape.life):
        return True
    if "run" in fields and shape.template != "run:{run}:waiters":
        state = stand.client.hget(stand.key("run", run=fields["run"]), "state")
        return state not in (b"running", b"undoing")
    return shape.template == "run:{run}:waiters"


def _header(record: bytes) -> tuple[str, int, str, str]:
    kind, attempt, _, _, _, _, queue, tenant = record.partition(b"\n")[0].decode().split(" ")
    return kind, int(attempt), queue, tenant
