"""The stages and deciders that generated pipelines are made of; workers load them too.

Owns: what each does to a number, as a stage and as the plain function beside it. All are pure but
for the effect they note, so a run's result can be computed without running it.
"""

from __future__ import annotations

import random
import time
from typing import Any

from dramatiq.middleware import CurrentMessage

from engine import Context, Page, Retry, batch, choose, repeat, stage
from tests.chaos import workload
from tests.chaos.workload import FORGIVEN, QUEUE

PRIME = 999_983
PAGES, PAGE_STEP = 3, 1_000_000
BOOKINGS = {"book": "unbook", "pay": "unpay"}
ONCE = Retry(attempts=1)


def note(ctx: Context) -> None:
    """Work for up to 20 ms, then note one effect under the position that it has in its plan."""
    time.sleep(random.random() * 0.02)
    message = CurrentMessage.get_current_message()
    position = str(message.message_id).partition(":")[2] if message else "-"
    workload.note(ctx, position)


# -- what the stages compute -------------------------------------------------------------------


def more(number: int) -> int:
    return (number + 1) % PRIME


def twice(number: int) -> int:
    return number * 2 % PRIME


def far(number: int) -> int:
    return (number * 7 + 3) % PRIME


def items_of(number: int) -> list[int]:
    return [(number + step) % PRIME for step in range(3)]


def page_of(mark: int) -> Page[int, int]:
    """Page `k` of the items of a number: the mark is the number and, above it, `k`."""
    k, number = divmod(mark, PAGE_STEP)
    items = [(number + 2 * k + step) % PRIME for step in range(2)]
    return Page(items, mark + PAGE_STEP if k + 1 < PAGES else None)


def paged(number: int) -> list[int]:
    """All items of all pages of a number."""
    return [item for k in range(PAGES) for item in page_of(number + k * PAGE_STEP).items]


def folded(value: Any) -> int:
    """Make one number of anything that a join hands on; the order counts, and so does a gap."""
    if value is None:
        return 11
    if isinstance(value, dict):
        return folded(value["value"]) if value["ok"] else 13
    if isinstance(value, list | tuple):
        return sum((place + 2) * folded(one) for place, one in enumerate(value)) % PRIME
    return int(value)


def parity(number: int) -> str:
    return "odd" if number % 2 else "even"


def is_even(number: int) -> bool:
    return number % 2 == 0


# -- the stages --------------------------------------------------------------------------------


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def add(number: int, ctx: Context) -> int:
    note(ctx)
    return more(number)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def double(number: int, ctx: Context) -> int:
    note(ctx)
    return twice(number)


@stage(queue=QUEUE, max_stalls=FORGIVEN, retry=Retry(attempts=3, base="20ms"))
def leap(number: int, ctx: Context) -> int:
    if ctx.attempt == 1 and number % 3 == 0:
        raise RuntimeError("the first attempt fails as it must")
    note(ctx)
    return far(number)


@stage(queue=QUEUE, max_stalls=FORGIVEN, retry=ONCE)
def doom(number: int, ctx: Context) -> int:
    note(ctx)
    raise ValueError("this stage never succeeds")


@stage(queue=QUEUE, max_stalls=FORGIVEN, retry=ONCE)
def only_even(number: int, ctx: Context) -> int:
    note(ctx)
    if number % 2:
        raise ValueError("an odd number")
    return number


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def spread(number: int, ctx: Context) -> list[int]:
    note(ctx)
    return items_of(number)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def read_page(mark: int, ctx: Context) -> Page[int, int]:
    note(ctx)
    return page_of(mark)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def fold(value: Any, ctx: Context) -> int:
    note(ctx)
    return folded(value)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def book(number: int, ctx: Context) -> int:
    note(ctx)
    return more(number)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def unbook(number: int, ctx: Context) -> None:
    note(ctx)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def pay(number: int, ctx: Context) -> int:
    note(ctx)
    return twice(number)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def unpay(number: int, ctx: Context) -> None:
    note(ctx)


@stage(queue=QUEUE, max_stalls=FORGIVEN)
def together(numbers: list[int]) -> list[int]:
    workload.note_as("", "together", len(numbers))
    return [far(number) for number in numbers]


# Where these are composed, workers learn of the deciders.
DECIDED = (
    choose(parity, {"even": add}, otherwise=double),
    repeat(add, until=is_even),
    batch(together, size=4, within="60ms"),
)
