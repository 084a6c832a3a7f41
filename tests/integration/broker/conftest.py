"""Fixtures of the broker's tests: those of the chaos and the store's tests, on healthy servers."""

from __future__ import annotations

from tests.chaos.conftest import calm_server, fleet, inside, make_fleet, namespace
from tests.integration.store.conftest import client, stand

__all__ = ["calm_server", "client", "fleet", "inside", "make_fleet", "namespace", "stand"]
