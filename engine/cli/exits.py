"""Exit codes: what a script can rely on. `callboard --help` shows them."""

from __future__ import annotations

from enum import IntEnum

from engine.errors import (
    CallboardError,
    ConfigurationError,
    DeadLetterNotFound,
    InputError,
    RunNotFound,
    StoreError,
)


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    STORE = 3
    NOT_FOUND = 4
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILED: "a run failed, was lost or refused; a check failed; it could not be done",
    Exit.USAGE: "wrong usage: an option, a name, a setting or an input that cannot be accepted",
    Exit.STORE: "the store does not answer, is full or is unfit for use",
    Exit.NOT_FOUND: "no such run or dead letter",
    Exit.INTERRUPTED: "Ctrl-C",
}


def exit_of(error: CallboardError) -> Exit:
    """Returns the exit code of an error that nobody handled."""
    if isinstance(error, (RunNotFound, DeadLetterNotFound)):
        return Exit.NOT_FOUND
    if isinstance(error, (ConfigurationError, InputError)):
        return Exit.USAGE
    if isinstance(error, StoreError):
        return Exit.STORE
    return Exit.FAILED
