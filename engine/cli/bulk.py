"""`callboard bulk`: cancel, retry, replay and redrive many at once, by filter."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from engine.bootstrap import Engine
from engine.cli.exits import Exit
from engine.cli.filters import (
    EndedSince,
    EndedUntil,
    InState,
    OfKey,
    OfPipeline,
    OfTenant,
    Since,
    Until,
    WithAttributes,
    chosen_runs,
    moment_ms,
)
from engine.cli.installation import engine_here, engine_near
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json, say, screen
from engine.control.bulk import LetterFilter, Tally
from engine.control.search import RunFilter
from engine.errors import OptionInvalid

app = typer.Typer(help="Act on many runs, or dead letters, at once.", no_args_is_help=True)

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how many and the first few; act on none.")
]
AtMost = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many at most.")]
Everything = Annotated[bool, typer.Option("--all", help="Needed where nothing narrows it down.")]
_TELL_EVERY_S = 2.0


@app.command("cancel")
def cancel(  # noqa: PLR0913, PLR0917 - one parameter an option
    pipeline: OfPipeline = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    key: OfKey = None,
    attr: WithAttributes = None,
    everything: Everything = False,
    limit: AtMost = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Cancel every running run that passes."""
    engine = engine_here()
    chosen = (pipeline, None, tenant, key, since, until, None, None, attr)
    wanted = _narrowed(chosen_runs(engine.store, *chosen), everything=everything)
    _over_runs(engine, "cancel", wanted, limit, dry_run=dry_run, as_json=as_json)


@app.command("retry")
def retry(  # noqa: PLR0913, PLR0917 - one parameter an option
    pipeline: OfPipeline = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    ended_since: EndedSince = None,
    ended_until: EndedUntil = None,
    key: OfKey = None,
    attr: WithAttributes = None,
    everything: Everything = False,
    limit: AtMost = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let every failed run that passes go on from where it died."""
    engine = engine_here()
    chosen = (pipeline, None, tenant, key, since, until, ended_since, ended_until, attr)
    wanted = _narrowed(chosen_runs(engine.store, *chosen), everything=everything)
    _over_runs(engine, "retry", wanted, limit, dry_run=dry_run, as_json=as_json)


@app.command("replay")
def replay(  # noqa: PLR0913, PLR0917 - one parameter an option
    state: InState = None,
    pipeline: OfPipeline = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    ended_since: EndedSince = None,
    ended_until: EndedUntil = None,
    key: OfKey = None,
    attr: WithAttributes = None,
    limit: AtMost = None,
    dry_run: DryRun = False,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Start every ended run that passes anew from its beginning; --state says which."""
    engine = engine_near(module)
    chosen = (pipeline, state, tenant, key, since, until, ended_since, ended_until, attr)
    wanted = chosen_runs(engine.store, *chosen)
    _over_runs(engine, "replay", wanted, limit, dry_run=dry_run, as_json=as_json)


@app.command("redrive")
def redrive(
    queue: Annotated[str, typer.Option("--queue", "-Q", help="The queue of the letters.")],
    tenant: OfTenant = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Only those that died of it.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Died no longer ago.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Died longer ago.")] = None,
    limit: AtMost = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put every dead letter of a queue that passes back to work, those of no run, too."""
    engine = engine_here()
    now_ms = engine.store.queues.now_ms()
    times = moment_ms("--since", since, now_ms), moment_ms("--until", until, now_ms)
    wanted = LetterFilter(queue, tenant, reason, *times)
    tally = engine.control.redrive(
        wanted, at_most=limit, dry_run=dry_run, tell=_Teller("letters").tell
    )
    _show("redrive", tally, dry_run=dry_run, as_json=as_json)


def _narrowed(wanted: RunFilter, *, everything: bool) -> RunFilter:
    if wanted == RunFilter() and not everything:
        raise OptionInvalid("--all", None, "given, or a filter that says which runs")
    return wanted


def _over_runs(
    engine: Engine,
    act: str,
    wanted: RunFilter,
    limit: int | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    tally = engine.control.bulk(
        act, wanted, at_most=limit, dry_run=dry_run, tell=_Teller("runs").tell
    )
    _show(act, tally, dry_run=dry_run, as_json=as_json)


class _Teller:
    """Says every two seconds how far the work is, on standard error."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said_at = time.monotonic()

    def tell(self, tally: Tally) -> None:
        if time.monotonic() - self._said_at >= _TELL_EVERY_S:
            self._said_at = time.monotonic()
            say(f"{tally.matched:,} {self._what} so far, {tally.failed:,} failed")


def _show(act: str, tally: Tally, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"act": act, "dry_run": dry_run, **tally._asdict()})
    else:
        out = screen()
        if dry_run:
            out.print(f"{act}: {tally.matched:,} would be acted on")
            for one in tally.first:
                out.print(f"  {one}", markup=False)
        else:
            skipped = f", {tally.skipped:,} came too late" if tally.skipped else ""
            failed = f", {tally.failed:,} failed" if tally.failed else ""
            out.print(f"{act}: {tally.done:,} of {tally.matched:,} done{skipped}{failed}")
        for trouble in tally.troubles:
            out.print(f"  {trouble.id}: {trouble.reason}", markup=False)
    if not tally.good:
        raise typer.Exit(Exit.FAILED)
