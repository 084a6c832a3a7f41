"""What a server answers, as the client reads it, is one of the engine's errors that says it."""

from __future__ import annotations

import pytest
from redis._parsers import _HiredisParser

from engine.errors import ScriptRefused, StoreBusy, StoreFull
from engine.store.connection import named_error

HOLDING = (
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN The cluster is down",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "NOREPLICAS Not enough good replicas to write.",
)
FULL = (
    "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
)


def read(line: str) -> Exception:
    """The client's error for an error line of the server."""
    error: Exception = _HiredisParser.parse_error(line)
    return error


@pytest.mark.parametrize("line", HOLDING, ids=lambda line: line.partition(" ")[0])
def test_a_server_that_cannot_write_now_is_busy_and_the_error_says_why(line: str) -> None:
    error = named_error(read(line), "commit")
    assert type(error) is StoreBusy
    assert line in str(error)


@pytest.mark.parametrize("line", FULL)
def test_a_server_at_its_maxmemory_is_full(line: str) -> None:
    assert type(named_error(read(line), "start")) is StoreFull


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("GONE c1", "GONE"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", "NOPERM"),
    ],
)
def test_anything_else_is_a_refusal_by_its_first_word(line: str, reason: str) -> None:
    error = named_error(read(line), "fetch")
    assert type(error) is ScriptRefused
    assert (error.script, error.reason) == ("fetch", reason)
    assert error.detail == line.partition(" ")[2]
