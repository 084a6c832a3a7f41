"""`callboard tenants`: who waits, who works, and what each may use."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.installation import store_here
from engine.cli.output import AsJson, plain, print_json, screen, table
from engine.control import inspect, operate

app = typer.Typer(help="Tenants: who waits, who works, and limits.", invoke_without_command=True)


@app.callback()
def tenants(context: typer.Context, as_json: AsJson = False) -> None:
    """List tenants that wait, work or have limits; with --json one a line."""
    if context.invoked_subcommand is not None:
        return
    found = inspect.tenants(store_here())
    if as_json:
        for tenant in found:
            print_json(plain(tenant))
        return
    table(
        ("tenant", ">waiting", ">running", ">at once", ">a minute", ">weight"),
        [
            (one.tenant, one.waiting, one.leased, one.limits and one.limits.max_concurrent,
             one.limits and one.limits.max_per_minute, one.limits and one.limits.weight)
            for one in found
        ],
        empty="no tenant waits, works or has limits",
    )  # fmt: skip


@app.command("limit")
def limit(
    tenant: Annotated[
        str, typer.Argument(help="A tenant, or '*' for all without limits of their own.")
    ],
    max_concurrent: Annotated[int | None, typer.Option(help="Attempts at once.")] = None,
    max_per_minute: Annotated[
        int | None, typer.Option(help="Attempts begun in any minute.")
    ] = None,
    weight: Annotated[int, typer.Option(help="Turns for each turn of others, 1 to 10.")] = 1,
    clear: Annotated[bool, typer.Option("--clear", help="Forget the tenant's own limits.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set what a tenant may use, in place of what was set before; it holds at once."""
    store = store_here()
    if clear:
        operate.clear_limits(store, tenant)
        limits = None
    else:
        limits = operate.limit(
            store,
            tenant,
            max_concurrent=max_concurrent,
            max_per_minute=max_per_minute,
            weight=weight,
        )
    if as_json:
        print_json({"tenant": tenant, "limits": limits})
    elif limits is None:
        screen().print(f"{tenant} has no limits of its own", markup=False)
    else:
        screen().print(
            f"{tenant}: {_or_any(limits.max_concurrent)} at once, "
            f"{_or_any(limits.max_per_minute)} a minute, weight {limits.weight}",
            markup=False,
        )


def _or_any(number: int | None) -> str:
    return "any number" if number is None else f"{number:,}"
