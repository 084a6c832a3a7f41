"""Commands called in this process, as a person and as a machine would."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from engine import current
from engine.cli.main import app

RUNNER = CliRunner()


def call(*words: str, code: int = 0) -> str:
    before = current.peek()
    done = RUNNER.invoke(app, list(words))
    current.set(before)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.stdout


def told(*words: str, code: int = 0) -> list[Any]:
    return [json.loads(line) for line in call(*words, "--json", code=code).splitlines()]
