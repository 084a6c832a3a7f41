"""Messages on both brokers: unknown actors, many queues, options and sizes."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from dramatiq import Message

from tests.contract.conftest import eventually, finish, running


def test_a_message_for_an_unknown_actor_does_not_hold_up_the_queue(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def note(n: int) -> None:
        ran.append(n)

    unknown: Message[Any] = Message("default", "nobody", (), {}, {})
    with running(broker, threads=1):
        note.send(1)
        broker.enqueue(unknown)
        note.send(2)
        eventually(lambda: len(ran) == 2)
    assert ran == [1, 2]


def test_arguments_and_options_arrive_as_they_were_sent(broker: Any) -> None:
    seen: list[Any] = []

    @dramatiq.actor
    def note(*args: Any, **kwargs: Any) -> None:
        seen.append((list(args), kwargs))

    args = ["é ☃", 1, 2.5, None, True, [1, [2]], {"a": {"b": []}}, ""]
    with running(broker) as worker:
        sent = note.send_with_options(args=tuple(args), kwargs={"k": "v"})
        finish(broker, worker)
    assert seen == [(args, {"k": "v"})]
    assert sent.queue_name == "default"
    assert sent.actor_name == "note"


def test_a_large_message_arrives_whole(broker: Any) -> None:
    seen: list[int] = []

    @dramatiq.actor
    def note(text: str) -> None:
        seen.append(len(text))

    with running(broker) as worker:
        note.send("x" * 150_000)
        finish(broker, worker)
    assert seen == [150_000]


def test_a_worker_serves_only_the_queues_it_was_given(broker: Any) -> None:
    ran: list[str] = []

    @dramatiq.actor(queue_name="mine")
    def mine() -> None:
        ran.append("mine")

    @dramatiq.actor(queue_name="theirs")
    def theirs() -> None:
        ran.append("theirs")

    theirs.send()
    mine.send()
    worker = dramatiq.Worker(broker, queues={"mine"}, worker_timeout=50, worker_threads=2)
    worker.start()
    try:
        broker.join("mine", timeout=5_000)
        worker.join()
    finally:
        worker.stop()
    assert ran == ["mine"]


def test_the_same_message_can_be_enqueued_again(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def note() -> None:
        ran.append(1)

    message = note.message()
    broker.enqueue(message)
    broker.enqueue(message)
    with running(broker) as worker:
        finish(broker, worker)
    assert ran == [1, 1]


def test_an_actor_can_send_to_itself_and_to_others(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def count_down(n: int) -> None:
        ran.append(n)
        if n:
            count_down.send(n - 1)

    with running(broker) as worker:
        count_down.send(20)
        finish(broker, worker)
    assert ran == list(range(20, -1, -1))


def test_every_one_of_many_messages_runs_once(broker: Any) -> None:
    ran: list[int] = []

    @dramatiq.actor
    def note(n: int) -> None:
        ran.append(n)

    with running(broker, threads=8) as worker:
        for n in range(1_000):
            note.send(n)
        finish(broker, worker)
    assert sorted(ran) == list(range(1_000))


def test_a_message_in_a_log_shows_no_arguments(
    kind: str, broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="dramatiq")

    @dramatiq.actor(max_retries=0)
    def fail(secret: str) -> None:
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send("hunter2")
        finish(broker, worker)
    assert "Failed to process message fail(" in caplog.text
    assert ("hunter2" in caplog.text) is (kind == "stock")
