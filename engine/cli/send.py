"""`callboard send`: one stage, one run."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.exits import Exit
from engine.cli.filters import attributes_of
from engine.cli.installation import engine_with
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json, screen
from engine.clock import duration_ms
from engine.errors import UnknownStage
from engine.workflow.run import Run, RunState
from engine.workflow.start import one_start


def send(  # noqa: PLR0913, PLR0917 - one parameter an option
    name: Annotated[str, typer.Argument(metavar="STAGE", help="A stage, or a pipeline.")],
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="Its input; - reads standard input.")
    ] = "null",
    tenant: Annotated[str | None, typer.Option(help="For whom.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
    delay: Annotated[str | None, typer.Option(help="Wait before it begins, such as 15s.")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9; higher is sooner.")] = None,
    attr: Annotated[
        list[str] | None,
        typer.Option("--attr", metavar="NAME=VALUE", help="To find the run by; repeatable."),
    ] = None,
    wait: Annotated[
        str | None, typer.Option(help="Wait so long for the end and print the result.")
    ] = None,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Send one stage (or start one pipeline) with a JSON input."""
    wait_ms = None if wait is None else duration_ms(wait, name="--wait")
    engine = engine_with(module)
    definition = engine.definitions.stages.get(name) or engine.definitions.pipelines.get(name)
    if definition is None:
        raise UnknownStage(name, [*engine.definitions.stages, *engine.definitions.pipelines])
    raw = typer.get_text_stream("stdin").read() if payload == "-" else payload
    body = raw.encode()
    definition.inputs.decode(body)  # refused here, not in a worker
    start = one_start(body, tenant, key, delay, priority, attributes_of(attr))
    run = engine.start(definition, start.payload, **start.options())
    if wait_ms is None:
        _show(run, None, None, as_json=as_json)
        return
    _show_end(run, wait_ms, as_json=as_json)


def _show_end(run: Run, wait_ms: int, *, as_json: bool) -> None:
    state = run.wait(wait_ms)
    result = run.result() if state is RunState.COMPLETED else None
    _show(run, state, result, as_json=as_json)
    if state is not RunState.COMPLETED:
        raise typer.Exit(Exit.FAILED)


def _show(run: Run, state: RunState | None, result: object, *, as_json: bool) -> None:
    if as_json:
        print_json({"run": run.id, "duplicate": run.duplicate, "state": state, "result": result})
        return
    out = screen()
    out.print(
        f"{run.id}{' (known already)' if run.duplicate else ''}{f' {state}' if state else ''}"
    )
    if state is RunState.COMPLETED:
        print_json(result)
