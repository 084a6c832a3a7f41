"""Senders are refused by name where a queue is full; what was taken is told."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import dramatiq
import pytest

from engine import Settings, build, current, stage
from engine.bootstrap import Engine
from engine.errors import QueueFull
from engine.workflow import registry
from tests.servers import ThrowawayServer


@pytest.fixture
def engine(calm_server: ThrowawayServer, namespace: str) -> Iterator[Engine]:
    with registry.isolated() as definitions:
        settings = Settings(
            redis_url=calm_server.url, namespace=namespace, queues={"small": {"max_depth": 300}}
        )
        engine = build(settings, definitions=definitions, make_current=False)
        with current.use(engine):
            yield engine
        engine.close()


def test_a_start_into_a_full_queue_is_refused_with_its_numbers(engine: Engine) -> None:
    @stage(queue="small")
    def work(number: int) -> int:
        return number

    runs = work.send_many(range(300))
    with pytest.raises(QueueFull, match="'small' holds 300 messages; its limit is 300") as refused:
        work.send(300)
    assert refused.value.accepted == ()
    assert len(set(runs)) == 300
    assert engine.store.queues.count("small").waiting == 300


def test_a_bulk_that_does_not_fit_tells_what_was_started(engine: Engine) -> None:
    @stage(queue="small")
    def work(number: int) -> int:
        return number

    with pytest.raises(QueueFull, match="100 of 400 were refused") as refused:
        work.send_many(range(400))
    accepted = refused.value.accepted
    assert [run is None for run in accepted] == [False] * 300 + [True] * 100
    assert set(accepted) - {None} == set(engine.store.runs.all())
    assert pickle.loads(pickle.dumps(refused.value)).accepted == accepted


def test_plain_messages_are_refused_alike(engine: Engine) -> None:
    @dramatiq.actor(broker=engine.broker, queue_name="small")
    def plain(number: int) -> None: ...

    messages = [plain.message(number) for number in range(301)]
    with pytest.raises(QueueFull, match="1 of 301 were refused") as refused:
        engine.broker.enqueue_many(messages)
    assert refused.value.accepted == (*(m.message_id for m in messages[:300]), None)
    with pytest.raises(QueueFull, match="Nothing was enqueued"):
        plain.send(301)
    assert engine.store.queues.count("small").waiting == 300


def test_a_queue_without_a_limit_takes_everything(engine: Engine) -> None:
    @stage(queue="large")
    def work(number: int) -> int:
        return number

    assert len(work.send_many(range(700))) == 700
