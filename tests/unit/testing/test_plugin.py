from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

TESTS = """
from engine import Pipeline, current, sleep, stage
from engine.workflow import registry

@stage
def visible(x: int) -> int:
    return x

BEFORE = current.peek()

def test_one(callboard, virtual_clock):
    assert current.get() is callboard
    assert callboard.clock is virtual_clock
    @stage
    def made_here(x: int) -> int:
        return x + 1
    run = Pipeline("p", visible | sleep("7d") | made_here).start(1)
    virtual_clock.advance("7d")
    assert run.result() == 2

def test_two(request):
    assert current.peek() is BEFORE
    assert list(registry.current().stages) == ["visible"]
    assert request.config.getoption("--callboard-seed") == 3
"""


def test_the_fixtures_come_with_the_installation_and_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--callboard-seed=3", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "CALLBOARD_PROFILE": "development"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_is_registered() -> None:
    (found,) = entry_points(group="pytest11", name="callboard")
    assert found.value == "engine.testing.plugin"


def test_loading_the_plugin_loads_neither_server_nor_broker() -> None:
    code = (
        "import sys, engine.testing.plugin\n"
        "assert not {'redis', 'dramatiq'} & set(sys.modules)\n"
        "import engine.testing.inline\n"
        "assert 'redis' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
