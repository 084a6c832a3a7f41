"""A plan that cannot be read just now puts an attempt off: nothing ran, and nothing is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.errors import StoreUnreachable
from engine.workflow.attempt import Attempt
from engine.workflow.outcome import Snoozed
from tests.chaos import workload
from tests.chaos.conftest import working
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.proxy import Proxy, nothing
from tests.servers import ThrowawayServer

PATIENCE_MS = 300


@pytest.fixture
def proxy(calm_server: ThrowawayServer) -> Iterator[Proxy]:
    with Proxy(calm_server.port) as proxy:
        yield proxy


@pytest.fixture
def worker(proxy: Proxy, make_fleet: Callable[..., Fleet]) -> Fleet:
    """An engine behind the proxy that has seen no plan; it runs nothing yet."""
    fleet = make_fleet(proxy.url)
    fleet.engine.store.links.patience_ms = PATIENCE_MS
    fleet.engine.store.queues.count(workload.QUEUE)  # connected, and the server is checked
    return fleet


@pytest.fixture
def sender(worker: Fleet, make_fleet: Callable[..., Fleet], calm_server: ThrowawayServer) -> Fleet:
    """Another engine on the same store, with a line that is well; the one that sends go to."""
    return make_fleet(calm_server.url)


def no_plan(name: str, _number: int) -> str | None:
    return "lose_request" if name == "GET" else None


def delayed(fleet: Fleet) -> int:
    return fleet.engine.store.queues.count(workload.QUEUE).delayed


def test_a_plan_that_cannot_be_read_counts_no_attempt_and_runs_nothing(
    worker: Fleet, sender: Fleet, proxy: Proxy
) -> None:
    with working(worker):
        proxy.rule = no_plan  # type: ignore[assignment]
        run = workload.innocent.send(1)
        sender.history.accepted([run])
        for _ in range(2):
            read = proxy.cuts["GET"]
            eventually(lambda n=read: proxy.cuts["GET"] > n, 10, "it is tried, and again")
            eventually(lambda: delayed(sender), 10, "it is put off")
        assert sender.ledger.of("innocent") == []
        proxy.rule = nothing
        sender.history.wait_ended(10)
    assert [effect.item for effect in sender.ledger.of("innocent")] == ["1"]
    assert not sender.history.told("stage.retried")
    sender.history.check(gentle=True)


def attempt_of(plan: str) -> Attempt:
    return Attempt(
        run_id="0" * 32,
        tenant="default",
        plan_hash=plan,
        stage="innocent",
        position="0",
        queue=workload.QUEUE,
        number=1,
        payload=b"[1]",
        token=1,
    )


def test_a_relay_without_its_plan_is_put_off_too(worker: Fleet, proxy: Proxy) -> None:
    proxy.rule = no_plan  # type: ignore[assignment]
    attempt = attempt_of("unseen")
    with pytest.raises(StoreUnreachable):
        worker.engine.runner.relay(attempt)
    assert type(attempt.outcome) is Snoozed
