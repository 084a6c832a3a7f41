"""`callboard flows`: declarative flows from YAML or JSON files: check, draw and run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.exits import Exit
from engine.cli.installation import definitions_of, engine_with
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json, say, screen
from engine.clock import duration_ms
from engine.errors import ConfigurationError, FlowProblem
from engine.flows import Declared, load, problems_of, schema
from engine.workflow.registry import Registry
from engine.workflow.run import Run, RunState

app = typer.Typer(help="Declarative flows: check, draw and run YAML or JSON.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON; - reads standard input.")]


class FlowUnreadable(ConfigurationError):
    """The file of a flow, or of its input, cannot be read; nothing was started."""

    code = "flow_unreadable"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path!r} cannot be read: {problem}. Name a file, or - for the input.")


@app.command("validate")
def validate(file: File, module: Modules = None, as_json: AsJson = False) -> None:
    """Check a flow against its schema, the stages and pipelines, and what expressions may read."""
    found = problems_of(_source(file), definitions=_definitions(module))
    if as_json:
        print_json({"valid": not found, "problems": found})
    else:
        _show(file, found)
    if found:
        raise typer.Exit(Exit.USAGE)


@app.command("draw")
def draw(file: File, module: Modules = None, as_json: AsJson = False) -> None:
    """Print a flow as a Mermaid flowchart; with --json its plan."""
    flow = load(_source(file), definitions=_definitions(module))
    if as_json:
        print_json({"hash": flow.plan().hash, "plan": json.loads(flow.plan().to_json())})
    else:
        typer.echo(flow.draw(), nl=False)


@app.command("run")
def run(
    file: File,
    given: Annotated[
        str, typer.Option("--input", metavar="JSON|FILE", help="Its input, or a file with it.")
    ] = "null",
    tenant: Annotated[str | None, typer.Option(help="For whom; else the flow's own.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key; else the flow's id.")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9; higher is sooner.")] = None,
    wait: Annotated[
        str | None, typer.Option(help="Wait so long for the end and print the result.")
    ] = None,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Start a run of a flow."""
    wait_ms = None if wait is None else duration_ms(wait, name="--wait")
    engine = engine_with(module)
    flow = load(_source(file), definitions=engine.definitions)
    body = _input(given)
    flow.inputs.decode(body)  # refused here, not in a worker
    start = flow.one_start(body, tenant=tenant, key=key, priority=priority)
    started = engine.start(flow, start.payload, **start.options())
    state = None if wait_ms is None else started.wait(wait_ms)
    _show_run(flow, started, state, as_json=as_json)
    if state not in (None, RunState.COMPLETED):
        raise typer.Exit(Exit.FAILED)


@app.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of a flow."""
    typer.echo(json.dumps(schema(), indent=2))


def _definitions(module: Sequence[str] | None) -> Registry:
    return definitions_of(module).definitions


def _source(file: str) -> str | Path:
    if file != "-":
        if not Path(file).is_file():
            raise FlowUnreadable(file, "there is no such file")
        return Path(file)
    return typer.get_text_stream("stdin").read() + "\n"


def _input(given: str) -> bytes:
    path = Path(given)
    try:
        if len(given) < 1_000 and path.is_file():
            return path.read_bytes()
    except (OSError, ValueError):
        pass  # a JSON text that no file could be called
    return given.encode()


def _show(file: str, found: Sequence[FlowProblem]) -> None:
    for problem in found:
        say(f"{file}: {problem}")
    if not found:
        screen().print(f"{file} is a valid flow", markup=False)


def _show_run(flow: Declared, run: Run, state: RunState | None, *, as_json: bool) -> None:
    result = run.result() if state is RunState.COMPLETED else None
    if as_json:
        print_json(
            {
                "run": run.id,
                "flow": flow.name,
                "duplicate": run.duplicate,
                "state": state,
                "result": result,
            }
        )
        return
    known = " (known already)" if run.duplicate else ""
    screen().print(f"{run.id}{known}{f' {state}' if state else ''}", markup=False)
    if state is RunState.COMPLETED:
        print_json(result)
