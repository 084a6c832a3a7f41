"""The public names of the library, pinned: whoever changes them changes this list knowingly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import engine

PUBLIC = [
    "Context",
    "Engine",
    "Idempotency",
    "Page",
    "Pipeline",
    "RedisBroker",
    "Retry",
    "Run",
    "RunState",
    "RunView",
    "Settings",
    "Settled",
    "Stage",
    "batch",
    "build",
    "choose",
    "each",
    "errors",
    "first",
    "gather",
    "repeat",
    "sleep",
    "stage",
    "wait_for",
]


def test_the_library_offers_these_names_and_no_others() -> None:
    assert sorted(engine.__all__) == PUBLIC


def test_every_public_name_can_be_had() -> None:
    code = f"import engine\nfor name in {PUBLIC!r}:\n    assert getattr(engine, name) is not None"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(engine, "no_such_name")
