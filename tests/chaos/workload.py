"""The stages that the chaos tests run: short, fanning out, retrying, failing, murderous.

Owns: what each does and the effect it notes. Must not: build an engine; `app.py` does in
workers, and the tests do for themselves.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import time
from functools import cache
from typing import Any

import dramatiq

from engine import Context, Idempotency, Pipeline, Retry, batch, each, stage
from tests.chaos.ledger import Ledger

QUEUE = "chaos"
# Random kills must never prove an innocent guilty: their suspicions are forgiven for ever.
FORGIVEN = 100
SOON = Retry(attempts=8, base="50ms", factor=1.5, max="500ms", jitter=0.25)
DELAY_MS = 50
BATCH, SICK, ONCE_FATAL = 25, 13_000, 14_000


def note(ctx: Context, item: object = 0) -> None:
    """Note one effect of this attempt."""
    note_as(ctx.run_id, ctx.stage, item, ctx.token)


def note_as(run: str, stage_name: str, item: object, token: int = 0) -> None:
    """Note one effect of a plain message."""
    ledger(os.environ["CHAOS_LEDGER"]).write(run, stage_name, item, token, _real_ms())


@cache
def ledger(path: str) -> Ledger:
    """The ledger of a fleet, opened once a process."""
    return Ledger(path)


def _real_ms() -> int:
    # Not time.time: a worker with a skewed clock still has to tell when something happened.
    return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def short(number: int, ctx: Context) -> int:
    note(ctx)
    return number


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def steady(number: int, ctx: Context) -> int:
    time.sleep(0.02)
    note(ctx)
    return number


@stage(queue=QUEUE, max_stalls=FORGIVEN)
async def steady_async(number: int, ctx: Context) -> int:
    await asyncio.sleep(0.02)
    note(ctx)
    return number


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def split(number: int, ctx: Context) -> list[int]:
    note(ctx)
    return list(range(number))


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def item(number: int, ctx: Context) -> int:
    note(ctx, number)
    return number * 2


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def collect(numbers: list[int], ctx: Context) -> int:
    note(ctx)
    return sum(numbers)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def both(left: int, right: int, ctx: Context) -> int:
    note(ctx)
    return left + right


@stage(queue=QUEUE, max_stalls=FORGIVEN, retry=SOON)
def flaky(number: int, ctx: Context) -> int:
    if ctx.attempt <= 2:
        raise RuntimeError(f"attempt {ctx.attempt} fails as it must")
    note(ctx)
    return number


@stage(queue=QUEUE, max_stalls=FORGIVEN, retry=Retry(attempts=2, base="20ms"))
def failing(number: int, ctx: Context) -> int:
    note(ctx)
    raise ValueError("this stage never succeeds")


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def slow(seconds: float, ctx: Context) -> float:
    note(ctx, "begun")
    time.sleep(seconds)
    note(ctx, "ended")
    return seconds


def _first(stage_name: str) -> bool:
    return not Ledger(os.environ["CHAOS_LEDGER"]).of(stage_name)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def look_back(number: int, ctx: Context) -> dict[str, Any]:
    return dict(ctx.outputs)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def patient(seconds: float, ctx: Context) -> float:
    note(ctx, "begun")
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(0.01)
    except BaseException as interrupt:
        note(ctx, type(interrupt).__name__)
        raise
    note(ctx, "ended")
    return seconds


@stage(queue=QUEUE, max_stalls=FORGIVEN)
async def patient_async(seconds: float, ctx: Context) -> float:
    note(ctx, "begun")
    try:
        await asyncio.sleep(seconds)
    except BaseException as interrupt:
        note(ctx, type(interrupt).__name__)
        raise
    return seconds


@stage(queue=QUEUE, max_stalls=FORGIVEN, retry=Retry(attempts=2, base="20ms"))
def gathered(numbers: list[int]) -> list[int]:
    before = Ledger(os.environ["CHAOS_LEDGER"]).of("gathered")
    note_as("", "gathered", len(numbers))
    if ONCE_FATAL in numbers and not before:
        raise RuntimeError("the whole call fails")
    return [_ten_times(number) for number in numbers]


def _ten_times(number: int) -> Any:
    return ValueError("a sick item") if number == SICK else number * 10


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def hold_gil(seconds: int, ctx: Context) -> int:
    first = _first("hold_gil")
    note(ctx, "begun")
    if first:
        ctypes.PyDLL(None).sleep(seconds)  # a call of C that does not let go of the GIL
    return seconds


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def backtrack(letters: int, ctx: Context) -> int:
    first = _first("backtrack")
    note(ctx, "begun")
    if first:
        match_in_vain(letters)
    return letters


def match_in_vain(letters: int) -> None:
    """Hold the GIL for a time that doubles with every letter: the pattern tries every division."""
    assert re.match(r"(a+)+$", "a" * letters + "b") is None


@stage(queue=QUEUE, max_stalls=FORGIVEN, idempotency=Idempotency())
def once(number: int, ctx: Context) -> int:
    note(ctx)
    return number


@stage(queue=QUEUE, timeout="200ms", max_stalls=FORGIVEN, retry=Retry(attempts=1))
def overdue(seconds: float, ctx: Context) -> float:
    started = time.monotonic()
    try:
        while time.monotonic() - started < seconds:
            pass
    finally:
        note(ctx, int((time.monotonic() - started) * 1000))
    return seconds


@stage(queue=QUEUE, timeout="200ms", max_stalls=FORGIVEN, retry=Retry(attempts=1))
async def overdue_async(seconds: float, ctx: Context) -> float:
    started = time.monotonic()
    try:
        await asyncio.sleep(seconds)
    finally:
        note(ctx, int((time.monotonic() - started) * 1000))
    return seconds


def _die(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


@stage(queue=QUEUE, max_stalls=0)
def pill_0(how: str, ctx: Context) -> None:
    note(ctx)
    _die(how)


@stage(queue=QUEUE, max_stalls=1)
def pill_1(how: str, ctx: Context) -> None:
    note(ctx)
    _die(how)


@stage(queue=QUEUE, max_stalls=2)
def pill_2(how: str, ctx: Context) -> None:
    note(ctx)
    _die(how)


@stage(queue=QUEUE, max_stalls=0)
def innocent(number: int, ctx: Context) -> int:
    time.sleep(0.05)
    note(ctx, ctx.attempt)
    return number


looking_back = Pipeline("looking-back", short | look_back)
gathering = Pipeline("gathering", batch(gathered, size=BATCH, within="300ms"))
line = Pipeline("line", short | steady | flaky | short)
fan = Pipeline("fan", split | each(item, window=5) | collect)
forked = Pipeline("forked", short | (steady & flaky) | both)


def plain_actors(broker: dramatiq.Broker) -> dict[str, Any]:
    """Declare Dramatiq's own kind of actors on a broker."""

    def plain(number: int, *_: Any) -> int:
        note_as(str(number), "plain", 0)
        return number

    def plain_flaky(number: int) -> int:
        message = dramatiq.middleware.CurrentMessage.get_current_message()
        if message is None or message.options.get("retries", 0) < 2:
            raise RuntimeError("fails as it must")
        note_as(str(number), "plain_flaky", 0)
        return number

    def plain_doubling(number: int) -> int:
        note_as(str(number), "plain_doubling", 0)
        return number

    def plain_told(_message: dict[str, Any], result: Any) -> None:
        note_as(str(result), "plain_told", 0)

    def plain_dead(number: int) -> None:
        raise RuntimeError("never succeeds")

    def declare(fn: Any, **options: Any) -> Any:
        return dramatiq.actor(fn, broker=broker, queue_name=QUEUE, **options)

    return {
        "plain": declare(plain),
        "plain_flaky": declare(plain_flaky, min_backoff=20, max_backoff=100, max_retries=10),
        "plain_doubling": declare(plain_doubling),
        "plain_told": declare(plain_told),
        "plain_dead": declare(plain_dead, max_retries=0),
    }
