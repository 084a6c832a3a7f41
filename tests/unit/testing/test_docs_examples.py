"""The examples of `docs/testing.md` run as they are written there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.reading import ROOT, python_examples

TESTS, *SCRIPTS = python_examples(ROOT / "docs/testing.md")


def ended(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("REDIS_", "CALLBOARD_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env={**plain, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    (tmp_path / "test_billing.py").write_text(TESTS)
    done = ended(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_scripts_on_the_page_run(tmp_path: Path) -> None:
    assert len(SCRIPTS) == 2
    for script in SCRIPTS:
        (tmp_path / "script.py").write_text(script)
        done = ended(tmp_path, "script.py")
        assert done.returncode == 0, done.stderr
