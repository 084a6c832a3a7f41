"""`callboard dead`: the dead letters, listed, shown, put back to work, forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.exits import Exit
from engine.cli.installation import store_here
from engine.cli.output import AsJson, print_json, screen, shown_time, table
from engine.clock import duration_ms
from engine.control import inspect, operate
from engine.errors import OptionInvalid

app = typer.Typer(help="Dead letters: messages that will not be tried again.", no_args_is_help=True)

Message = Annotated[str | None, typer.Argument(help="Message id, as `dead list` shows it.")]


@app.command("list")
def list_letters(
    queue: Annotated[str | None, typer.Option("--queue", "-Q", help="Only this queue's.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first; with --json one a line."""
    found = inspect.letters(store_here(), queue=queue, at_most=limit)
    if as_json:
        for letter in found:
            print_json(inspect.story_of(letter))
        return
    table(
        ("message", "queue", "tenant", "reason", ">attempt", "died", "why"),
        [
            (
                one.message,
                one.queue,
                one.tenant,
                one.reason,
                one.attempt,
                shown_time(one.died_at_ms),
                _why(inspect.story_of(one)["story"]),
            )
            for one in found
        ],
        empty="no dead letter",
    )


@app.command("show")
def show_letter(
    message: Annotated[str, typer.Argument(help="Message id.")], as_json: AsJson = False
) -> None:
    """Show one dead letter: every failure, the traceback and the message itself."""
    story = inspect.story_of(inspect.letter(store_here(), message))
    if as_json:
        print_json(story)
        return
    out = screen()
    for name in ("message", "queue", "tenant", "reason", "attempt"):
        out.print(f"{name:8} {story[name]}", markup=False)
    out.print(f"{'died':8} {shown_time(story['died_at_ms'])}")
    for number, error in enumerate([*story["errors"], story["story"]], start=1):
        if error:
            out.print(f"\nfailure {number}: {_why(error)}", markup=False)
            traceback = error.get("traceback") if isinstance(error, dict) else None
            out.print(traceback or "", markup=False)
            for line in (error.get("log") or ()) if isinstance(error, dict) else ():
                out.print(f"  log  {line}", markup=False)
    out.print(f"\n{story['body']}", markup=False)


@app.command("redrive")
def redrive(
    message: Message = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-Q", help="With --all: its queue.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter of the queue.")] = False,
    body: Annotated[Path | None, typer.Option(help="File with a corrected message.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put one dead letter, or all of a queue, back to work with a fresh count of attempts."""
    store = store_here()
    if message is not None and not everything:
        operate.redrive(store, message, body.read_bytes().strip() if body else b"")
        outcome = operate.Redriven(1, {})
    else:
        outcome = operate.redrive_all(store, _queue_of_all(message, queue, everything))
    if as_json:
        print_json(outcome)
    else:
        stayed = "".join(f", {number:,} stayed ({why})" for why, number in outcome.stayed.items())
        screen().print(f"{outcome.redriven:,} redriven{stayed}")
    if outcome.stayed:
        raise typer.Exit(Exit.FAILED)


@app.command("purge")
def purge(
    message: Message = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-Q", help="With --all: its queue.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter of the queue.")] = False,
    older_than: Annotated[
        str | None, typer.Option(help="With --all: only those that died longer ago, such as 30d.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget one dead letter, or all of a queue. There is no way back."""
    store = store_here()
    if message is not None and not everything:
        operate.purge_one(store, message)
        purged = 1
    else:
        chosen = _queue_of_all(message, queue, everything)
        age_ms = None if older_than is None else duration_ms(older_than, name="--older-than")
        before = None if age_ms is None else store.queues.now_ms() - age_ms
        purged = operate.purge(store, chosen, died_before_ms=before)
    if as_json:
        print_json({"purged": purged})
    else:
        screen().print(f"{purged:,} purged")


def _queue_of_all(message: str | None, queue: str | None, everything: bool) -> str:
    if message is not None or not queue or not everything:
        raise OptionInvalid("message", message, "one message id, or --all with --queue")
    return queue


def _why(story: object) -> str:
    if isinstance(story, dict):
        return f"{story.get('type', '')}: {story.get('message', '')}".strip(": ").split("\n")[0][
            :120
        ]
    return str(story or "")[:120]
