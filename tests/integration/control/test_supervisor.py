"""The supervisor with small programs of its own: deaths, stubborn ends, growth."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.control import supervisor as room
from engine.control.child import Program
from engine.control.supervisor import Supervisor

READY = (
    "from engine.control import lifeline; lifeline.ready()\nimport signal, time, subprocess, sys\n"
)
SLEEP = READY + "while True: time.sleep(0.1)"
STUBBORN = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(0.1)"
GROWING = (
    READY + "subprocess.run([sys.executable, '-c', 'import time; time.sleep(1);"
    ' b = bytearray(80_000_000); b[::4096] = b"x" * len(b[::4096]); time.sleep(60)\'])'
)


def program(code: str, **options: object) -> Program:
    return Program("it", [sys.executable, "-c", code], **options)  # type: ignore[arg-type]


@contextmanager
def serving(
    programs: list[Program], stop_ms: int = 5_000
) -> Iterator[tuple[Supervisor, list[str], list[int]]]:
    told: list[str] = []
    killed: list[int] = []
    made = Supervisor(programs, tell=told.append, stop_ms=stop_ms)
    thread = threading.Thread(target=lambda: killed.append(made.serve()))
    thread.start()
    try:
        yield made, told, killed
    finally:
        made.ask_stop()
        thread.join(20)
        assert not thread.is_alive()


def eventually(look: Callable[[], object], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_what_dies_is_started_again_with_growing_waits() -> None:
    with serving([program("raise SystemExit(7)")]) as (_, told, _killed):
        eventually(lambda: len(told) >= 2)
    assert "ended with code 7" in told[0]
    assert told[0].endswith("in 0.5 s")
    assert told[1].endswith("in 1 s")


def test_a_killed_process_comes_back_at_once() -> None:
    with serving([program(SLEEP)]) as (supervisor, told, killed):
        eventually(lambda: supervisor.ready == 1)
        [first] = supervisor.pids
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.ready == 1 and supervisor.pids != [first])
        assert any("was killed by signal 9" in line for line in told)
    assert killed == [0]


def test_what_does_not_end_in_time_is_killed_and_counted() -> None:
    with serving([program(STUBBORN)], stop_ms=300) as (supervisor, _told, killed):
        eventually(lambda: supervisor.ready == 1)
        time.sleep(0.3)  # until it has turned its signal handler off
    assert killed == [1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_process_that_grows_too_much_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MEMORY_EVERY_S", 0.2)
    with serving([program(GROWING, memory_growth_mb=40)], stop_ms=1_000) as (supervisor, told, _):
        eventually(lambda: supervisor.ready == 1)
        [first] = supervisor.pids
        eventually(lambda: any("grew by more than 40 MB" in line for line in told))
        eventually(lambda: first not in supervisor.pids)
