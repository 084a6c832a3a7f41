"""`callboard queues`, `pause` and `resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.installation import store_here
from engine.cli.output import AsJson, plain, print_json, screen, shown_ms, table
from engine.control import inspect, operate

Queue = Annotated[str, typer.Argument(help="Name of a queue.")]


def queues(as_json: AsJson = False) -> None:
    """List queues: what waits, how long, who works; with --json one a line."""
    found = inspect.queues(store_here())
    if as_json:
        for queue in found:
            print_json(plain(queue))
        return
    table(
        (
            "queue",
            ">waiting",
            ">oldest",
            ">delayed",
            ">running",
            ">limit",
            ">dead",
            ">workers",
            "paused",
        ),
        [
            (
                one.queue,
                one.waiting,
                shown_ms(one.oldest_ms) if one.waiting else "-",
                one.delayed,
                one.leased,
                one.limit,
                one.dead,
                one.workers,
                one.paused,
            )
            for one in found
        ],
        empty="no queue yet: it appears with its first message",
    )


def pause(queue: Queue, as_json: AsJson = False) -> None:
    """Stop handing out a queue's messages; what runs already ends."""
    _tell(queue, operate.pause(store_here(), queue), paused=True, as_json=as_json)


def resume(queue: Queue, as_json: AsJson = False) -> None:
    """Hand out a queue's messages again."""
    _tell(queue, operate.resume(store_here(), queue), paused=False, as_json=as_json)


def _tell(queue: str, changed: bool, *, paused: bool, as_json: bool) -> None:
    if as_json:
        print_json({"queue": queue, "paused": paused, "changed": changed})
        return
    word = "paused" if paused else "handed out"
    screen().print(f"{queue} is {'now' if changed else 'already'} {word}", markup=False)
