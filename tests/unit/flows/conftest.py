"""Definitions made in a test stay in the test."""

from __future__ import annotations

from tests.unit.workflow.conftest import definitions

__all__ = ["definitions"]
