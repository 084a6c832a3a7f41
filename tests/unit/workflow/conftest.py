"""Definitions made in a test stay in the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import current
from engine.workflow import registry
from engine.workflow.registry import Registry


@pytest.fixture(autouse=True)
def definitions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(current, "_place", current._Place())
    with registry.isolated() as isolated:
        yield isolated
