"""`callboard draw`: a pipeline as a picture, in Mermaid or SVG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.installation import definitions_of
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json, say
from engine.errors import OptionInvalid

SvgFile = Annotated[
    Path | None, typer.Option("--svg", help="Write an SVG into this file; - is standard output.")
]


def draw(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline.")],
    svg: SvgFile = None,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Print a pipeline as a Mermaid flowchart; with --json its plan, with --svg as an SVG."""
    found = definitions_of(module).definitions.pipeline(pipeline)
    if as_json:
        print_json({"hash": found.plan().hash, "plan": json.loads(found.plan().to_json())})
    elif svg is not None:
        write_picture(svg, found.draw("svg"))
    else:
        typer.echo(found.draw(), nl=False)


def write_picture(path: Path, text: str) -> None:
    """Writes a picture into a file, or to standard output for `-`; raises OptionInvalid."""
    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise OptionInvalid("--svg", str(path), expected) from None
    say(f"written: {path}")
