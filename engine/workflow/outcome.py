"""How an attempt ended.

Owns: the six outcomes. Must not: choose between them or carry them out.
"""

from __future__ import annotations

import msgspec

from engine.workflow.edges import Edge
from engine.workflow.failure import Failure

__all__ = ["Cancelled", "Caught", "Dead", "Done", "Failure", "Outcome", "RetryAt", "Snoozed"]


class Done(msgspec.Struct, frozen=True):
    """The stage returned; `result` is JSON, `edges` say what follows.

    `bears_input`: the stage ran on the run's own input, which is to be kept with the run.
    """

    result: bytes
    edges: list[Edge]
    bears_input: bool = False


class RetryAt(msgspec.Struct, frozen=True):
    """The attempt failed; another one is due in `delay_ms` of the server's clock."""

    delay_ms: int
    error: Failure


class Dead(msgspec.Struct, frozen=True):
    """The attempt failed and no other follows.

    `reason` is a short stable word such as `attempts_exhausted` or `given_up`.
    """

    reason: str
    error: Failure


class Caught(msgspec.Struct, frozen=True):
    """As `Dead`, where a join goes on without the stage: `edges` tell it so, no letter is kept."""

    reason: str
    error: Failure
    edges: list[Edge]


class Snoozed(msgspec.Struct, frozen=True):
    """The stage asked to be run again in `delay_ms`; this does not count as a failure."""

    delay_ms: int


class Cancelled(msgspec.Struct, frozen=True):
    """The run was cancelled while the attempt was under way."""


Outcome = Done | RetryAt | Dead | Caught | Snoozed | Cancelled
