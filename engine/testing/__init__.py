"""The test kit: runs of pipelines inline, without a server, in virtual time.

The public names of `engine.testing`; each is loaded when it is first asked for, since the pytest
plugin makes every test session import this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.testing.clock import VirtualClock
    from engine.testing.errors import RunStuck
    from engine.testing.faults import Faults, InjectedFailure
    from engine.testing.history import History
    from engine.testing.inline import InlineEngine
    from engine.testing.synchronous import SynchronousEngine

_ROOMS = {
    "Faults": "faults",
    "History": "history",
    "InjectedFailure": "faults",
    "InlineEngine": "inline",
    "RunStuck": "errors",
    "SynchronousEngine": "synchronous",
    "VirtualClock": "clock",
}

__all__ = [
    "Faults",
    "History",
    "InjectedFailure",
    "InlineEngine",
    "RunStuck",
    "SynchronousEngine",
    "VirtualClock",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"engine.testing.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'engine.testing' has no attribute {name!r}")
