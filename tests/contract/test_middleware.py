"""Middleware as third parties write it, CurrentMessage and AsyncIO, on both brokers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import AsyncIO, CurrentMessage, Middleware, MiddlewareError, SkipMessage

from tests.contract.conftest import eventually, finish, running


class Recorder(Middleware):
    """Notes each hook that concerns a message, in order."""

    def __init__(self) -> None:
        self.hooks: list[str] = []

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.hooks.append("before_enqueue")

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.hooks.append("after_enqueue")

    def before_process_message(self, broker: Any, message: Any) -> None:
        self.hooks.append("before_process_message")

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        self.hooks.append(f"after_process_message {result!r} {type(exception).__name__}")

    def after_skip_message(self, broker: Any, message: Any) -> None:
        self.hooks.append("after_skip_message")

    def before_ack(self, broker: Any, message: Any) -> None:
        self.hooks.append("before_ack")

    def after_ack(self, broker: Any, message: Any) -> None:
        self.hooks.append("after_ack")

    def before_nack(self, broker: Any, message: Any) -> None:
        self.hooks.append("before_nack")

    def after_nack(self, broker: Any, message: Any) -> None:
        self.hooks.append("after_nack")


class SkipOdd(Middleware):
    """Skips messages whose argument is odd."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        if message.args[0] % 2:
            raise SkipMessage("odd")


class Broken(Middleware):
    """Fails in every hook around a message."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        raise RuntimeError("before")

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        raise RuntimeError("after")


class Veto(Middleware):
    """Refuses every message at the sender."""

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        raise MiddlewareError("refused")


class Fail(Middleware):
    """Fails each message after it was processed."""

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        message.fail()


class WithOption(Middleware):
    """Brings an actor option of its own and reads it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @property
    def actor_options(self) -> set[str]:
        return {"colour"}

    def before_process_message(self, broker: Any, message: Any) -> None:
        actor = broker.get_actor(message.actor_name)
        self.seen.append(message.options.get("colour", actor.options.get("colour")))


def test_hooks_come_in_dramatiqs_order(make: Callable[..., Any]) -> None:
    recorder = Recorder()
    broker = make(middleware=[recorder])

    @dramatiq.actor
    def nothing() -> None: ...

    with running(broker) as worker:
        nothing.send()
        finish(broker, worker)
        eventually(lambda: "after_ack" in recorder.hooks)
    assert recorder.hooks == [
        "before_enqueue",
        "after_enqueue",
        "before_process_message",
        "after_process_message None NoneType",
        "before_ack",
        "after_ack",
    ]


def test_a_failed_message_is_rejected(make: Callable[..., Any]) -> None:
    recorder = Recorder()
    broker = make(middleware=[recorder, Fail()])

    @dramatiq.actor
    def nothing() -> None: ...

    with running(broker) as worker:
        nothing.send()
        finish(broker, worker)
        eventually(lambda: "after_nack" in recorder.hooks)
    assert recorder.hooks[-2:] == ["before_nack", "after_nack"]
    assert "before_ack" not in recorder.hooks


def test_middleware_can_skip_messages(make: Callable[..., Any]) -> None:
    recorder = Recorder()
    broker = make(extra=[SkipOdd(), recorder])
    ran: list[int] = []

    @dramatiq.actor
    def note(n: int) -> None:
        ran.append(n)

    with running(broker, threads=1) as worker:
        for n in range(6):
            note.send(n)
        finish(broker, worker)
        eventually(lambda: recorder.hooks.count("after_ack") == 6)
    assert ran == [0, 2, 4]
    assert recorder.hooks.count("after_skip_message") == 3


def test_an_error_in_a_hook_hurts_nobody(make: Callable[..., Any]) -> None:
    broker = make(extra=[Broken()])
    ran: list[int] = []

    @dramatiq.actor
    def note(n: int) -> None:
        ran.append(n)

    with running(broker, threads=1) as worker:
        note.send(1)
        note.send(2)
        finish(broker, worker)
    assert ran == [1, 2]


def test_middleware_can_refuse_a_send(make: Callable[..., Any]) -> None:
    broker = make(extra=[Veto()])

    @dramatiq.actor
    def nothing() -> None: ...

    with pytest.raises(MiddlewareError, match="refused"):
        nothing.send()
    broker.join("default", timeout=1_000)


def test_middleware_can_bring_actor_options(make: Callable[..., Any]) -> None:
    option = WithOption()
    broker = make(extra=[option])

    @dramatiq.actor(colour="red")
    def nothing() -> None: ...

    with running(broker, threads=1) as worker:
        nothing.send()
        nothing.send_with_options(colour="blue")
        finish(broker, worker)
    assert option.seen == ["red", "blue"]


def test_the_current_message_is_known_inside_the_actor(make: Callable[..., Any]) -> None:
    broker = make(extra=[CurrentMessage()])
    seen: list[str] = []

    @dramatiq.actor
    def note() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        seen.append(message.message_id)

    with running(broker) as worker:
        sent = {note.send().message_id for _ in range(20)}
        finish(broker, worker)
    assert set(seen) == sent
    assert len(seen) == 20
    assert CurrentMessage.get_current_message() is None


def test_async_actors_share_one_event_loop(make: Callable[..., Any]) -> None:
    broker = make(extra=[AsyncIO()])
    threads: set[int] = set()
    ran: list[int] = []

    @dramatiq.actor
    async def note(n: int) -> None:
        await asyncio.sleep(0.01)
        threads.add(threading.get_ident())
        ran.append(n)

    with running(broker) as worker:
        for n in range(8):
            note.send(n)
        finish(broker, worker)
    assert sorted(ran) == list(range(8))
    assert len(threads) == 1


def test_a_failing_async_actor_is_retried(make: Callable[..., Any]) -> None:
    broker = make(extra=[AsyncIO()])
    tries: list[int] = []

    @dramatiq.actor(max_retries=1, min_backoff=10, max_backoff=10)
    async def fail() -> None:
        await asyncio.sleep(0)
        tries.append(1)
        raise RuntimeError("always")

    with running(broker) as worker:
        fail.send()
        finish(broker, worker)
    assert len(tries) == 2
