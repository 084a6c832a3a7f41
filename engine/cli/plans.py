"""`callboard plans` and `plans check`: what live runs are on, and whether new code can end them."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.exits import Exit
from engine.cli.installation import engine_with
from engine.cli.modules import Modules
from engine.cli.output import AsJson, plain, print_json, say, screen, shown_time, table
from engine.control import plans as control
from engine.control.plans import LivePlans, Stranding

app = typer.Typer(help="Plans with live runs, and whether code can end them.")

LookedAt = Annotated[int, typer.Option("--look-at", min=1, help="How many runs to look at.")]


@app.callback(invoke_without_command=True)
def plans(
    context: typer.Context,
    module: Modules = None,
    look_at: LookedAt = control.LOOKED_AT_MOST,
    as_json: AsJson = False,
) -> None:
    """List plans with live runs, most runs first; with --json one a line."""
    if context.invoked_subcommand is not None:
        return
    engine = engine_with(module)
    found = control.live(engine.store, engine.definitions, looked_at_most=look_at)
    _remark(found, look_at)
    if as_json:
        for plan in found.plans:
            print_json(plain(plan))
        return
    table(
        ("plan", "pipeline", ">live runs", "since", "in this code"),
        [
            (one.hash, one.pipeline, one.live, shown_time(one.since_ms), one.in_code)
            for one in found.plans
        ],
        empty="no live run",
    )


@app.command("check")
def check(
    module: Modules = None,
    look_at: LookedAt = control.LOOKED_AT_MOST,
    as_json: AsJson = False,
) -> None:
    """Compare this code with the plans of live runs; exits with 1 if it would strand one."""
    engine = engine_with(module)
    found = control.live(engine.store, engine.definitions, looked_at_most=look_at)
    stranded = control.check(engine.store, engine.definitions, found)
    for one in stranded:
        if as_json:
            print_json(plain(one))
        else:
            screen().print(_line(one), markup=False, soft_wrap=True)
    _remark(found, look_at)
    if stranded or not found.complete:
        raise typer.Exit(Exit.FAILED)
    if not as_json:
        runs = sum(plan.live for plan in found.plans)
        screen().print(f"this code can end all {runs:,} live runs of {len(found.plans):,} plans")


def _line(one: Stranding) -> str:
    plan, strand = one
    runs = f"{plan.live:,} live {'run' if plan.live == 1 else 'runs'}"
    child = "" if strand.plan == plan.hash else f", child plan {strand.plan}"
    return f"plan {plan.hash} ({plan.pipeline}, {runs}{child}): {strand.told} {strand.remedy}"


def _remark(found: LivePlans, look_at: int) -> None:
    if not found.complete:
        say(f"only the newest {look_at:,} runs were looked at; raise --look-at to see all")
