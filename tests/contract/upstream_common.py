"""What Dramatiq's own test modules import as `.common`; the source distribution does not carry it.

Owns: the names those modules ask for. Written for this suite, from how the names are used.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dramatiq import Worker

RABBITMQ_CREDENTIALS: dict[str, str] = {}

skip_in_ci = pytest.mark.skipif(
    bool(os.environ.get("CALLBOARD_SKIP_SLOW_UPSTREAM")), reason="asked to skip slow upstream tests"
)
skip_on_windows = pytest.mark.skipif(platform.system() == "Windows", reason="not on Windows")
skip_on_pypy = pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="not on PyPy")


@contextmanager
def worker(*args: Any, **kwargs: Any) -> Iterator[Worker]:
    """Run a Worker, made from the arguments, for the length of a block."""
    running = Worker(*args, **kwargs)
    running.start()
    try:
        yield running
    finally:
        running.stop()
