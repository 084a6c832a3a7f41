"""`callboard draw`: a pipeline as a picture, in Mermaid."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from engine.cli.installation import definitions_of
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json


def draw(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline.")],
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Print a pipeline as a Mermaid flowchart; with --json its plan."""
    found = definitions_of(module).definitions.pipeline(pipeline)
    if as_json:
        print_json({"hash": found.plan().hash, "plan": json.loads(found.plan().to_json())})
    else:
        typer.echo(found.draw(), nl=False)
