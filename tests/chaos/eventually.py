"""Waiting for what must become true, instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(
    true: Callable[[], Any], within: float = 10.0, what: str = "", every: float = 0.02
) -> Any:
    """Wait until `true()` gives something true, and give it.

    Args:
        within: Seconds after which it counts as never.
        what: Said in the failure; call it with a function for what is only known then.
    """
    deadline = time.monotonic() + within
    while not (value := true()):
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"not within {within} s: {what() if callable(what) else what or true}"
            )
        time.sleep(every)
    return value
