"""`callboard retry`, `replay` and `why`: a run that stands still, and how it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.exits import Exit
from engine.cli.installation import engine_here, engine_near, engine_with
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json, screen, shown_ms, shown_time, table
from engine.control import inspect
from engine.control import why as why_room
from engine.control.patching import Patch
from engine.errors import OptionInvalid

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Run id, or the beginning of one.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and tell; change nothing.")]


def retry(
    run: RunId,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only this stage's dead letters.")
    ] = None,
    patch: Annotated[
        str | None,
        typer.Option(
            "--patch", metavar="FILE|JSON", help="JSON Patch (RFC 6902) for the stage's input."
        ),
    ] = None,
    dry_run: DryRun = False,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Let a failed run go on from where it died, with a fresh count of attempts."""
    # Only a patch is checked against a stage's type.
    engine = engine_here() if patch is None else engine_near(module)
    record = inspect.run(engine.store, run)
    read = None if patch is None else Patch(_text_of(patch))
    outcome = engine.control.retry(record.id, stage=stage, patch=read, dry_run=dry_run)
    if as_json:
        print_json({"run": outcome.run, "dry_run": dry_run, "letters": outcome.letters})
    else:
        table(
            ("message", "stage", "died of", "now"),
            [(one.message, one.stage, one.reason, one.verdict) for one in outcome.letters],
        )
    if not outcome.good:
        raise typer.Exit(Exit.FAILED)


def _text_of(given: str) -> str | bytes:
    """The patch itself: what begins with a bracket is JSON, anything else names a file."""
    if given.lstrip().startswith("["):
        return given
    try:
        return Path(given).read_bytes()
    except OSError as error:
        expected = f"a JSON list, or a file that can be read ({error.strerror})"
        raise OptionInvalid("--patch", given, expected) from None


def replay(
    run: RunId,
    stage: Annotated[
        str | None,
        typer.Option("--from", metavar="STAGE", help="Where; left out, at the beginning."),
    ] = None,
    dry_run: DryRun = False,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Start an ended run anew from one of its stages, with the results of the stages before it."""
    engine = engine_near(module)
    record = inspect.run(engine.store, run)
    done = engine.control.replay(record.id, stage=stage, dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    out = screen()
    out.print(f"{done.run or 'nothing was started'}: replays {done.replay_of}", markup=False)
    for word, stages in (("reused", done.reused), ("run again", done.again)):
        if stages:
            out.print(f"{word}: {', '.join(stages)}", markup=False)


def why(run: RunId, module: Modules = None, as_json: AsJson = False) -> None:
    """Say why a run is not running now, and when it will.

    With --module, a retry says how many attempts its stage has.
    """
    engine = engine_with(module) if module else engine_here()
    record = inspect.run(engine.store, run)
    found = engine.control.why(record.id)
    if as_json:
        print_json(found)
        return
    screen().print(f"{found.run}: {found.told}", markup=False)
    if found.reasons:
        now_ms = engine.store.queues.now_ms()
        table(
            ("position", "stage", "why", "told", "until"),
            [
                (one.position, one.stage, one.code, one.told, _until(one, now_ms))
                for one in found.reasons
            ],
        )
    if found.cut:
        screen().print("It has more places than were looked at.")


def _until(reason: why_room.Reason, now_ms: int) -> str:
    if reason.until_ms is None:
        return "-"
    return f"{shown_time(reason.until_ms)}, in {shown_ms(max(reason.until_ms - now_ms, 0))}"
