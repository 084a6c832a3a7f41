"""A message that waited longer than its queue allows is a dead letter, and is never begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
import pytest

from engine import Retry, Settings, build, current, stage
from engine.bootstrap import Engine
from engine.workflow import registry
from tests.chaos.eventually import eventually
from tests.integration.store.stand import Hand, Stand
from tests.servers import ThrowawayServer

WAIT_MS = 60_000


@pytest.fixture
def stand(calm_server: ThrowawayServer, namespace: str) -> Iterator[Stand]:
    with calm_server.client() as client:
        yield Stand(client, namespace)


@pytest.fixture
def engine(calm_server: ThrowawayServer, stand: Stand) -> Iterator[Engine]:
    """An engine on the stand's moved clock, whose queue `hasty` allows a wait of a minute."""
    settings = Settings(
        redis_url=calm_server.url,
        namespace=stand.namespace,
        queues={"hasty": {"max_wait": WAIT_MS}},
    )
    with registry.isolated() as definitions:
        made = build(settings, store=stand.store, definitions=definitions, make_current=False)
        with current.use(made):
            yield made
        made.close()


@contextmanager
def working(engine: Engine) -> Iterator[None]:
    worker = dramatiq.Worker(engine.broker, worker_threads=2, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def test_a_stage_that_waited_too_long_is_dead_with_its_reason(engine: Engine, stand: Stand) -> None:
    begun: list[str] = []

    @stage(queue="hasty")
    def work(name: str) -> str:
        begun.append(name)
        return name

    late = work.send("late")
    stand.advance(WAIT_MS + 1_000)
    soon = work.send("soon")
    with working(engine):
        assert late.wait("10s") == "failed"
        assert soon.wait("10s") == "completed"
    assert begun == ["soon"]
    [message] = stand.store.letters.newest("hasty")
    letter = stand.store.letters.read(message)
    assert letter is not None
    assert (letter.reason, message) == ("expired", f"{late.id}:0")
    assert b"max_wait of queue 'hasty' is 60,000 ms" in letter.story
    [died] = stand.events("stage.died")
    assert (died["stage"], died["reason"]) == (work.name, "expired")


def test_a_redriven_letter_has_its_wait_anew(engine: Engine, stand: Stand) -> None:
    @stage(queue="hasty")
    def work(name: str) -> str:
        return name

    late = work.send("late")
    stand.advance(WAIT_MS + 1_000)
    with working(engine):
        late.wait("10s")
        [message] = stand.store.letters.newest("hasty")
        assert stand.store.letters.redrive(message) == "redriven"
        assert late.wait("10s") == "completed"


def test_a_delay_is_no_wait_and_other_queues_have_no_limit(engine: Engine, stand: Stand) -> None:
    @stage(queue="hasty")
    def hasty(name: str) -> str:
        return name

    @stage(queue="calm")
    def calm(name: str) -> str:
        return name

    runs = [hasty.send("x", delay=10 * WAIT_MS), calm.send("y")]
    stand.advance(10 * WAIT_MS + 1_000)
    with working(engine):
        assert [run.wait("10s") for run in runs] == ["completed"] * 2


def test_a_retry_waits_from_the_time_it_is_due(engine: Engine, stand: Stand) -> None:
    tried: list[int] = []

    @stage(queue="hasty", retry=Retry(attempts=2, base="5m", jitter=0))
    def work(number: int) -> int:
        tried.append(number)
        if len(tried) == 1:
            raise ValueError(number)
        return number

    run = work.send(1)
    with working(engine):
        eventually(lambda: stand.count("hasty")[1] == 1)
        stand.advance(301_000)
        assert run.wait("10s") == "completed"


def test_a_plain_message_is_dead_alike(engine: Engine, stand: Stand) -> None:
    begun: list[int] = []

    @dramatiq.actor(broker=engine.broker, queue_name="hasty")
    def plain(number: int) -> None:
        begun.append(number)

    plain.send(1)
    stand.advance(WAIT_MS + 1_000)
    with working(engine):
        eventually(lambda: stand.count("hasty") == (0, 0, 0, 1))
    assert begun == []
    assert [e["reason"] for e in stand.events("message.died")] == ["expired"]


def test_what_a_dead_process_had_begun_is_under_way_and_does_not_expire(
    engine: Engine, stand: Stand
) -> None:
    @stage(queue="hasty")
    def work(number: int) -> int:
        return number

    run = work.send(1)
    living, ghost = stand.hand("living", ["none"]), stand.hand("ghost", ["hasty"])
    assert len(ghost.ids()) == 1
    outlive(stand, living, seconds=2 * WAIT_MS // 1_000)
    assert stand.client.zcard(stand.key("suspects", queue="hasty")) == 1
    with working(engine):
        assert run.wait("10s") == "completed"


def outlive(stand: Stand, living: Hand, seconds: int) -> None:
    for _ in range(seconds):
        stand.advance(1_000)
        living.beat()
