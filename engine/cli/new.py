"""`callboard new`: a working project of the same shape, ready to run."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import AsJson, print_json, screen
from engine.errors import ConfigurationError, NameInvalid

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_SUFFIX = ".txt"
_PLACEHOLDER = "__project__"


class NotEmpty(ConfigurationError):
    """The directory of a new project exists and holds something; nothing was written."""

    code = "not_empty"


def new(
    project: Annotated[Path, typer.Argument(help="Directory to make; its name is the project's.")],
    as_json: AsJson = False,
) -> None:
    """Make a new project: stages, a pipeline, tests, a Makefile."""
    name = project.absolute().name
    if not _NAME.fullmatch(name):
        raise NameInvalid("project", name)
    if project.exists() and (not project.is_dir() or any(project.iterdir())):
        raise NotEmpty(f"{project} exists and is not empty. Name another directory.")
    written = write_project(project, name)
    if as_json:
        print_json({"project": name, "directory": str(project), "files": written})
        return
    out = screen()
    out.print(f"{name}: {len(written)} files in {project}", markup=False)
    out.print(f"Next: cd {project} && make up, and in another terminal: make run", markup=False)


def write_project(directory: Path, name: str) -> list[str]:
    """Writes the blueprint's files; returns their paths inside the directory, sorted."""
    written: list[str] = []
    for path, source in _blueprint(files("engine.cli") / "blueprint", Path()):
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text().replace(_PLACEHOLDER, name))
        written.append(path.as_posix())
    return sorted(written)


def _blueprint(place: Traversable, inside: Path) -> list[tuple[Path, Traversable]]:
    # The files end in .txt, so that no tool takes them for modules or tests of the engine.
    found: list[tuple[Path, Traversable]] = []
    for entry in place.iterdir():
        if entry.is_dir():
            found += _blueprint(entry, inside / entry.name)
        elif entry.name.endswith(_SUFFIX):
            found.append((inside / entry.name.removesuffix(_SUFFIX), entry))
    return found
