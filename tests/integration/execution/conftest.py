"""Fixtures of the execution's tests: those of the chaos tests, on a healthy server."""

from __future__ import annotations

from tests.chaos.conftest import calm_server, fleet, inside, make_fleet, namespace

__all__ = ["calm_server", "fleet", "inside", "make_fleet", "namespace"]
