"""A failure: what is kept of an exception.

Owns: `Failure`, bounded and without payloads. Must not: decide what a failure leads to.
"""

from __future__ import annotations

import traceback

import msgspec
from pydantic import ValidationError

from engine.workflow.payload import problems_of

MAX_TYPE_CHARS = 200
MAX_MESSAGE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 8_000
_MAX_CAUSES = 5
_MAX_FRAMES = 25


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An exception as it is stored: type, message and traceback, all bounded.

    `log` is what the attempt logged last, a line each.
    A Pydantic ValidationError is told by location and kind, never by the values it refused.
    """

    type: str
    message: str
    traceback: str = ""
    log: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return what is kept of an exception; never raises."""
        return cls(
            type=type_name(error)[:MAX_TYPE_CHARS],
            message=_message(error)[:MAX_MESSAGE_CHARS],
            traceback=_story(error)[-MAX_TRACEBACK_CHARS:],
        )

    @classmethod
    def named(cls, reason: str, message: str) -> Failure:
        """Return a failure that is no exception: `n8n_failed` is of type `N8nFailed`."""
        return cls("".join(word.capitalize() for word in reason.split("_")), message)


def type_name(error: BaseException) -> str:
    """Return the qualified name of an exception's class; builtins without their module."""
    cls = type(error)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def _message(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        told = "; ".join(f"{at}: {kind}" if at else kind for at, kind in problems_of(error)[:20])
        return f"{error.error_count()} problems in {error.title}: {told}"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure
        return "(the message cannot be shown)"
    # A lone surrogate cannot be stored as UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


def _story(error: BaseException) -> str:
    """Return the tracebacks of an exception and its causes, the first cause on top."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(chain) < _MAX_CAUSES and current not in chain:
        chain.append(current)
        hidden = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or hidden
    return "\n".join(_told(one) for one in reversed(chain))


def _told(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-_MAX_FRAMES))
    return f"{frames}{type_name(error)}: {_message(error)[:MAX_MESSAGE_CHARS]}"
