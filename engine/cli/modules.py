"""The user's modules: `actors` and `pipelines` here, or those named with `--module`.

This convention is the command line's alone; the engine never imports these names by itself.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import ConfigurationError, did_you_mean

CONVENTION = ("actors", "pipelines")
VARIABLE = "_CALLBOARD_MODULES"
"""Tells a worker process what its supervisor was told. Not a setting."""

Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module", "-m",
        help="Module with stages or pipelines, repeatable. Default: actors and pipelines here.",
    ),
]  # fmt: skip


class ModuleMissing(ConfigurationError):
    """A module with stages or pipelines cannot be found; nothing was started."""

    code = "module_missing"


def chosen(named: Sequence[str] | None) -> list[str]:
    """Returns the modules to import: those named, else those of the convention that exist here.

    Raises:
        ModuleMissing: None is named and the current directory has neither package.
    """
    if named:
        return list(named)
    here = str(Path.cwd())
    found = [name for name in CONVENTION if PathFinder.find_spec(name, [here]) is not None]
    if not found:
        raise ModuleMissing(
            f"There is neither a package 'actors' nor 'pipelines' in {here}. Run in your project's "
            "directory, name your modules with --module, or begin with `callboard new PROJECT`."
        )
    return found


def load(names: Iterable[str]) -> None:
    """Imports modules and everything inside packages, with the current directory first on the path.

    Raises:
        ModuleMissing: One of them does not exist. An error inside a module comes as it is.
    """
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    for name in names:
        _load_one(name)


def _load_one(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            near = did_you_mean(name, _modules_here())
            raise ModuleMissing(
                f"There is no module {name!r} on the path, which begins with {Path.cwd()}.{near}"
            ) from None
        raise
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)


def _modules_here() -> list[str]:
    return [found.name for found in pkgutil.iter_modules([str(Path.cwd())])]


def handed_down() -> list[str]:
    """Returns the modules that a supervisor chose for this worker process."""
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]
