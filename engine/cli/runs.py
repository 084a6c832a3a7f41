"""`callboard runs`, `show` and `cancel`: what runs there are, one of them, ending one."""

from __future__ import annotations

from typing import Annotated

import typer

from engine import bootstrap
from engine.cli.draw import SvgFile, write_picture
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
)
from engine.cli.installation import settings_here, store_here
from engine.cli.output import AsJson, plain, print_json, say, screen, shown_ms, shown_time, table
from engine.cli.run_tree import tree_of
from engine.control import inspect, operate
from engine.control.search import RunPage, search
from engine.workflow.run import Run


def runs(  # noqa: PLR0913, PLR0917 - one parameter an option
    pipeline: OfPipeline = None,
    state: InState = None,
    tenant: OfTenant = None,
    since: Since = None,
    until: Until = None,
    ended_since: EndedSince = None,
    ended_until: EndedUntil = None,
    key: OfKey = None,
    attr: WithAttributes = None,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the page that gave it ended.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first; with --json one a line.

    Where there are more, a last line of JSON has the `cursor` for the next page; `cut` says that
    the page is short because enough runs had been looked at.
    """
    store = store_here()
    wanted = chosen_runs(
        store, pipeline, state, tenant, key, since, until, ended_since, ended_until, attr
    )
    page = search(store, wanted, cursor=cursor, at_most=limit)
    if as_json:
        for run in page.runs:
            print_json(plain(run))
        if page.cursor:
            print_json({"cursor": page.cursor, "cut": page.cut, "looked_at": page.looked_at})
        return
    _show_page(page)


def _show_page(page: RunPage) -> None:
    table(
        ("run", "pipeline", "state", "tenant", "started", ">took", ">stages"),
        [
            (
                run.id,
                run.pipeline,
                run.state,
                run.tenant,
                shown_time(run.started_at_ms),
                shown_ms(run.ended_at_ms - run.started_at_ms if run.ended_at_ms else None),
                len(run.stages),
            )
            for run in page.runs
        ],
        empty="no run" if page.cursor is None else "no run so far",
    )
    if page.cursor:
        why = f"looked at {page.looked_at:,} runs; " if page.cut else ""
        say(f"{why}there are more: --cursor {page.cursor}")


def show(
    run: Annotated[str, typer.Argument(help="Run id, or the beginning of one.")],
    svg: SvgFile = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="A flowchart's text.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one run with its stages and their timings; with --svg or --mermaid as a picture."""
    engine = bootstrap.Engine(settings_here())
    record = inspect.run(engine.store, run)
    if svg is not None:
        write_picture(svg, Run(record.id, engine).draw("svg"))
    elif mermaid:
        typer.echo(Run(record.id, engine).draw("mermaid"), nl=False)
    elif as_json:
        print_json(plain(record))
    else:
        screen().print(tree_of(record, inspect.at_work(engine.store, record)))


def cancel(
    run: Annotated[str, typer.Argument(help="Run id, or the beginning of one.")],
    undo: Annotated[
        bool, typer.Option("--undo", help="Undo what its completed stages did, before it ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a run: what of it has not begun will not begin."""
    store = store_here()
    record = inspect.run(store, run)
    cancelled = operate.cancel(store, record.id, undo=undo)
    if as_json:
        print_json({"run": record.id, "cancelled": cancelled})
    else:
        screen().print(f"{record.id} {'is cancelled' if cancelled else 'had ended before'}")
