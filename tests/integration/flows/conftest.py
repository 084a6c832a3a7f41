"""Fixtures of the flows' tests: an engine on a throwaway server with a worker in this process."""

from __future__ import annotations

from tests.integration.control.conftest import engine, server, worker

__all__ = ["engine", "server", "worker"]
