"""`callboard signal`, `hold` and `release`: telling one run something, and making it wait."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.control import RunId
from engine.cli.installation import engine_here
from engine.cli.output import AsJson, print_json, screen
from engine.control import inspect
from engine.errors import PayloadInvalid, Problem
from engine.workflow.payload import decode_untyped
from engine.workflow.run import Run


def signal(
    run: RunId,
    name: Annotated[str, typer.Argument(help="What the run waits for.")],
    value: Annotated[
        str, typer.Argument(metavar="JSON", help="What the signal carries; - reads standard input.")
    ] = "null",
    once: Annotated[
        str | None, typer.Option(help="An id; a signal repeated under it changes nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a run a signal; `wait_for` of this name takes it, now or when the run gets there."""
    engine = engine_here()
    record = inspect.run(engine.store, run)
    raw = typer.get_text_stream("stdin").read() if value == "-" else value
    try:
        carried = decode_untyped(raw.encode())
    except ValueError:
        raise PayloadInvalid(f"signal {name!r}", "value", [Problem("", "json_invalid")]) from None
    taken = Run(record.id, engine).signal(name, carried, once=once)
    if as_json:
        print_json({"run": record.id, "signal": name, "taken": taken})
    else:
        screen().print(f"{record.id} {'was told' if taken else 'had been told before'}")


def hold(run: RunId, as_json: AsJson = False) -> None:
    """Pause one run: what runs ends, nothing more begins."""
    engine = engine_here()
    record = inspect.run(engine.store, run)
    _tell(record.id, Run(record.id, engine).pause(), paused=True, as_json=as_json)


def release(run: RunId, as_json: AsJson = False) -> None:
    """Resume a run that was held."""
    engine = engine_here()
    record = inspect.run(engine.store, run)
    _tell(record.id, Run(record.id, engine).resume(), paused=False, as_json=as_json)


def _tell(run: str, changed: bool, *, paused: bool, as_json: bool) -> None:
    if as_json:
        print_json({"run": run, "paused": paused, "changed": changed})
        return
    word = "held" if paused else "going on"
    screen().print(f"{run} is {'now' if changed else 'already'} {word}", markup=False)
