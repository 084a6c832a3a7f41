"""Callboard: durable multi-tenant workflows on Dramatiq.

The public names of the library. Importing this package has no effect beyond loading them: what
needs Dramatiq, Redis or the settings is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine import current, errors
from engine.workflow.batch import batch
from engine.workflow.choose import choose
from engine.workflow.context import Context
from engine.workflow.each import Page, each
from engine.workflow.gather import first, gather
from engine.workflow.idempotency import Idempotency
from engine.workflow.pipeline import Pipeline
from engine.workflow.repeat import repeat
from engine.workflow.retry import Retry
from engine.workflow.run import Run, RunState, RunView
from engine.workflow.settled import Settled
from engine.workflow.stage import Stage, stage
from engine.workflow.wait import sleep, wait_for

if TYPE_CHECKING:
    from engine.bootstrap import Engine, build
    from engine.broker import RedisBroker
    from engine.config import Settings

_LATER = {
    "Engine": "engine.bootstrap",
    "RedisBroker": "engine.broker",
    "Settings": "engine.config",
    "build": "engine.bootstrap",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")


def _default_engine() -> Engine:
    from engine.bootstrap import build_default  # noqa: PLC0415 - loads Dramatiq and Redis

    return build_default()


current.on_missing(_default_engine)
