"""The window of the settings is that of every policy that names none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dramatiq
import pytest

from engine import Idempotency, Settings, build, current, stage
from engine.bootstrap import Engine
from engine.store.store import connect
from engine.workflow import registry
from tests.servers import ThrowawayServer

HOUR_MS = 3_600_000
Advance = Callable[[int], None]


@pytest.fixture
def hourly(calm_server: ThrowawayServer, namespace: str) -> Iterator[tuple[Engine, Advance]]:
    """An engine with a window of an hour, and a hand on its clock, which begins with a window."""
    with made(calm_server.url, namespace) as engine:
        store = engine.store
        into = store.queues.now_ms() % HOUR_MS
        shift = HOUR_MS - into

        def advance(by_ms: int) -> None:
            store.links.command("SET", store.links.keys.prefix + "clock", shift + by_ms)

        advance(0)
        yield engine, advance


@contextmanager
def made(url: str, namespace: str) -> Iterator[Engine]:
    settings = Settings(redis_url=url, namespace=namespace, idempotency_window="1h")
    store = connect(url, namespace=namespace, shifted_clock=True)
    with registry.isolated() as definitions:
        engine = build(settings, store=store, definitions=definitions, make_current=False)
        with current.use(engine):
            yield engine
        engine.close()


@pytest.mark.parametrize(
    ("policy", "apart_ms", "one_run"),
    [
        (Idempotency(), HOUR_MS - 60_000, True),
        (Idempotency(), HOUR_MS + 1_000, False),
        (Idempotency(window="5m"), 600_000, False),
        (Idempotency(ttl="1m"), 120_000, False),
    ],
)
def test_two_equal_starts_are_one_within_the_window_that_holds(
    hourly: tuple[Engine, Advance], policy: Idempotency, apart_ms: int, one_run: bool
) -> None:
    _, advance = hourly

    @stage(idempotency=policy)
    def work(number: int) -> int:
        return number

    first = work.send(1)
    advance(apart_ms)
    second = work.send(1)
    assert second.duplicate is one_run
    assert (second.id == first.id) is one_run


def test_a_plain_actor_takes_the_window_of_the_settings(hourly: tuple[Engine, Advance]) -> None:
    engine, _ = hourly

    @dramatiq.actor(broker=engine.broker, idempotency=Idempotency())
    def plain(number: int) -> None: ...

    message = plain.send(1)
    keys = engine.store.links.keys
    [name] = engine.store.links.command("KEYS", keys.prefix.replace("{", "\\{") + "idem:*")
    assert message.options.get("duplicate_of") is None
    left_ms = engine.store.links.command("PTTL", name)
    assert HOUR_MS - 60_000 < left_ms <= HOUR_MS
    assert plain.send(1).options["duplicate_of"] == message.options["redis_message_id"]
