"""Tenancy: the limits of the settings hold for all tenants, unless somebody has set others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import Settings, build
from engine.bootstrap import Engine
from engine.config import TenantLimits
from engine.store.queues import Limits
from tests.servers import ThrowawayServer


@pytest.fixture
def limited(calm_server: ThrowawayServer, namespace: str) -> Iterator[Engine]:
    settings = Settings(
        redis_url=calm_server.url,
        namespace=namespace,
        tenant=TenantLimits(max_concurrent=3, weight=2),
    )
    engine = build(settings, make_current=False)
    yield engine
    engine.close()


def test_the_limits_of_the_settings_hold_when_a_worker_process_boots(limited: Engine) -> None:
    limited.broker.emit_after("process_boot")
    assert limited.store.queues.limits() == {"*": Limits(max_concurrent=3, weight=2)}


def test_limits_that_somebody_has_set_stay(limited: Engine) -> None:
    limited.store.queues.limit("*", Limits(max_concurrent=9))
    limited.broker.emit_after("process_boot")
    assert limited.store.queues.limits() == {"*": Limits(max_concurrent=9)}
