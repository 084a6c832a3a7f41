"""`callboard runs`, `show` and `cancel`: what runs there are, one of them, ending one."""

from __future__ import annotations

from typing import Annotated

import typer

from engine import bootstrap
from engine.cli.draw import SvgFile, write_picture
from engine.cli.installation import settings_here, store_here
from engine.cli.output import AsJson, plain, print_json, screen, shown_ms, shown_time, table
from engine.cli.run_tree import tree_of
from engine.control import inspect, operate
from engine.workflow.run import Run


def runs(
    pipeline: Annotated[
        str | None, typer.Option(help="Only this pipeline's, or this stage's.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Only running, completed, failed or cancelled ones.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first; with --json one a line."""
    found = inspect.runs(store_here(), pipeline=pipeline, state=state, tenant=tenant, at_most=limit)
    if as_json:
        for run in found:
            print_json(plain(run))
        return
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
            for run in found
        ],
        empty="no run",
    )


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
        screen().print(tree_of(record))


def cancel(
    run: Annotated[str, typer.Argument(help="Run id, or the beginning of one.")],
    as_json: AsJson = False,
) -> None:
    """Cancel a run: what of it has not begun will not begin."""
    store = store_here()
    record = inspect.run(store, run)
    cancelled = operate.cancel(store, record.id)
    if as_json:
        print_json({"run": record.id, "cancelled": cancelled})
    else:
        screen().print(f"{record.id} {'is cancelled' if cancelled else 'had ended before'}")
