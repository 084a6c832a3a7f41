"""Fixtures of the middleware's tests: a healthy server and a namespace of one's own."""

from __future__ import annotations

from tests.chaos.conftest import calm_server, namespace

__all__ = ["calm_server", "namespace"]
