"""Messages that cannot be read, or that nobody knows, are quarantined; neighbours are untouched."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from engine.broker import handed
from engine.store.wire import StageBody
from tests.chaos import workload
from tests.chaos.conftest import working
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.servers import ThrowawayServer

QUEUE = workload.QUEUE
GOOD_HEAD = f"d 1 - 1 40000000000001 1 {QUEUE} default\n".encode()
GARBAGE = {
    "random bytes": b"\x00\xff\xfe garbage \x80\x81",
    "empty": b"",
    "a header and no body": GOOD_HEAD,
    "a header and random bytes": GOOD_HEAD + b"\x93\x00\xff",
    "a list": GOOD_HEAD + b"[1,2]",
    "null": GOOD_HEAD + b"null",
    "no fields": GOOD_HEAD + b"{}",
    "options of a wrong type": GOOD_HEAD
    + json.dumps(
        {
            "queue_name": QUEUE,
            "actor_name": "plain",
            "args": [],
            "kwargs": {},
            "options": None,
            "message_id": "1",
            "message_timestamp": 1,
        }
    ).encode(),
    "a name of a wrong type": GOOD_HEAD
    + json.dumps(
        {
            "queue_name": QUEUE,
            "actor_name": ["x"],
            "args": [],
            "kwargs": {},
            "options": {},
            "message_id": "1",
            "message_timestamp": 1,
        }
    ).encode(),
    "arguments of a wrong type": GOOD_HEAD
    + json.dumps(
        {
            "queue_name": QUEUE,
            "actor_name": "plain",
            "args": 3,
            "kwargs": 7,
            "options": {},
            "message_id": "1",
            "message_timestamp": 1,
        }
    ).encode(),
    "nested deeper than any stack": GOOD_HEAD + b'{"args":' + b"[" * 200_000,
    "a stage nested deeper than any stack": GOOD_HEAD.replace(b"d", b"s", 1)
    + b'{"plan":"p","stage":"short","input":'
    + b"[" * 200_000,
    "a stage without a plan": GOOD_HEAD.replace(b"d", b"s", 1) + b'{"stage":"short"}',
    "a stage's body that is none": GOOD_HEAD.replace(b"d", b"s", 1) + b"\xff\xfe",
}


def push(fleet: Fleet, message: str, record: bytes) -> None:
    """Put a record among the waiting as the scripts would, without asking whether it is one."""
    store = fleet.engine.store
    keys = store.links.keys
    store.links.commands(
        [
            ("HSET", keys.name("messages"), message, record),
            ("ZADD", keys.name("waiting", queue=QUEUE, tenant="default"), 1, message),
            ("ZADD", keys.name("ring", queue=QUEUE), 0, "default"),
            ("HINCRBY", keys.name("queue", queue=QUEUE), "waiting", 1),
            ("SADD", keys.name("queues"), QUEUE),
            ("LPUSH", keys.name("wake", queue=QUEUE), 1),
        ]
    )


def letters(fleet: Fleet) -> dict[str, bytes]:
    store = fleet.engine.store
    found: dict[str, bytes] = {}
    for queue in (*store.queues.names(), "default", "unknown"):
        for message in store.letters.newest(queue):
            letter = store.letters.read(message)
            assert letter is not None
            found[message] = letter.record
    return found


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_quarantined_with_its_bytes(inside: Fleet, kind: str) -> None:
    message = f"{'0' * 32}:{kind.replace(' ', '-')}"
    push(inside, message, GARBAGE[kind])
    inside.history.accepted(workload.short.send_many(range(10)))
    inside.history.wait_ended(5)
    eventually(lambda: message in letters(inside), 5, "it becomes a dead letter")
    assert letters(inside)[message] == GARBAGE[kind]
    inside.history.check(gentle=True)


class Odd(Exception):
    """An exception that nobody foresaw."""


ODD = [
    Odd("\x00 \ud800"),
    LookupError(),
    RuntimeError("x" * 10_000),
    MemoryError(),
    StopIteration(),
    AssertionError("no"),
    OSError(5, "input/output error"),
]


def test_whatever_is_raised_while_a_message_is_read_hurts_it_alone(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, read = fleet.engine.store.links, handed.stage_body_of

    def read_or_raise(raw: bytes) -> StageBody:
        body = read(raw)
        if body.stage == "steady":
            raise ODD[int(bytes(body.input))]
        return body

    monkeypatch.setattr(handed, "stage_body_of", read_or_raise)
    sick, records = workload.steady.send_many(range(len(ODD))), {}
    for run in sick:
        fleet.history.accepted([run, *workload.short.send_many(range(2))])
        message = f"{run.id}:0"
        records[message] = links.command("HGET", links.keys.name("messages"), message)
    with working(fleet):
        fleet.history.wait_ended(5)
        assert letters(fleet) == records
        for message, error in zip(records, ODD, strict=True):
            letter = fleet.engine.store.letters.read(message)
            assert letter is not None
            assert letter.reason == "undecodable"
            assert type(error).__name__.encode() in letter.story
        fleet.history.check(gentle=True, failed=len(ODD))
    assert len(fleet.ledger.of("short")) == 2 * len(ODD)


def test_much_garbage_among_good_messages(inside: Fleet) -> None:
    for n in range(20):
        for kind, record in GARBAGE.items():
            push(inside, f"{n:032}:{kind.replace(' ', '-')}", record)
        inside.history.accepted([workload.line.start(n)])
    inside.history.wait_ended(15)
    eventually(lambda: len(letters(inside)) >= 50, 10)
    inside.history.check(gentle=True)


def test_an_unknown_stage_is_quarantined_when_its_grace_is_over(
    make_fleet: Callable[..., Fleet], calm_server: ThrowawayServer
) -> None:
    fleet = make_fleet(calm_server.url, grace_ms=0)
    runs = [workload.short.send(1), workload.steady.send(1)]
    fleet.plain["plain"].send(7)
    fleet.history.accepted(runs)
    del fleet.engine.broker.actors["short"], fleet.engine.broker.actors["plain"]
    with working(fleet):
        fleet.history.wait_ended(5)
        found = eventually(lambda: len(letters(fleet)) == 2 and letters(fleet), 5)
    [record] = [record for message, record in found.items() if message.startswith(runs[0].id)]
    assert b'"stage":"short"' in record
    letter = fleet.engine.store.letters.read(f"{runs[0].id}:0")
    assert letter is not None
    assert (letter.reason, letter.attempt) == ("unknown_stage", 1)
    fleet.history.check(gentle=True, failed=1)


def test_an_unknown_stage_waits_for_a_worker_that_knows_it(
    make_fleet: Callable[..., Fleet], calm_server: ThrowawayServer
) -> None:
    fleet = make_fleet(calm_server.url, grace_ms=60_000)
    fleet.history.accepted([workload.short.send(1)])
    actor = fleet.engine.broker.actors.pop("short")
    with working(fleet):
        eventually(lambda: fleet.engine.store.queues.count(QUEUE).delayed == 1, 5)
        fleet.engine.broker.actors["short"] = actor
        fleet.history.wait_ended(5)
        fleet.history.check(gentle=True)
    links = fleet.engine.store.links
    assert links.command("HLEN", links.keys.name("unknown")) == 0
