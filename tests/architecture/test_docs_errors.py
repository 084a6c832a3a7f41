"""`docs/errors.md` lists every error that Callboard raises, and no other."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import engine
from engine.errors import CallboardError
from tests.architecture.reading import ROOT, rows

PAGE = "docs/errors.md"


def known_errors() -> Iterator[type[CallboardError]]:
    """Every error of the engine that has a code of its own."""
    for found in pkgutil.walk_packages(engine.__path__, "engine."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    waiting = [CallboardError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.partition(".")[0] == "engine" and "code" in vars(error):
            yield error


def test_every_error_is_in_the_table() -> None:
    listed = {(cells[0], cells[1]) for cells in rows(PAGE)}
    for error in known_errors():
        if error is not CallboardError:
            assert (error.code, error.__name__) in listed, f"{PAGE} has no row for {error}"


def test_the_table_has_no_error_that_does_not_exist() -> None:
    known = {(error.code, error.__name__) for error in known_errors()}
    for code, name, *_ in rows(PAGE):
        if re.fullmatch(r"[a-z_]+", code) and re.fullmatch(r"[A-Z]\w+", name):
            assert (code, name) in known


def test_a_code_stands_for_one_error() -> None:
    codes = [error.code for error in known_errors()]
    assert sorted(codes) == sorted(set(codes))


def test_every_reason_that_a_script_refuses_with_is_listed() -> None:
    listed = {cells[0] for cells in rows(PAGE, "Reasons of a refused script")}
    for script in (ROOT / "engine/store/lua").glob("*.lua"):
        for reason in re.findall(r"error_reply\('([A-Z_]+)", script.read_text()):
            assert reason in listed, f"{script.name} refuses with {reason}"
