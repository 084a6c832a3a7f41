"""`callboard flows`: validate, draw, run and schema, for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Worker
from typer.testing import CliRunner, Result

from engine import current
from engine.bootstrap import Engine
from engine.cli.exits import exit_of
from engine.cli.main import app
from engine.errors import CallboardError
from engine.flows import schema

RUNNER = CliRunner()
MODULE = """
from engine import stage

@stage
def double(n: int) -> int:
    return n * 2

@stage
def fail(n: int) -> int:
    raise ValueError("broken")
"""
FLOW = "name: twice\nsteps:\n- double\n- {stage: double, bind: value + input}\n"


@pytest.fixture
def project(
    engine: Engine, server: Any, clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """A directory with stages and flows; the commands see the store of the test's engine."""
    clean_environment.setenv("REDIS_URL", server.url)
    clean_environment.setenv("CALLBOARD_NAMESPACE", engine.settings.namespace)
    clean_environment.chdir(tmp_path)
    (tmp_path / f"m{engine.settings.namespace}.py").write_text(MODULE)
    cel = FLOW.replace("value + input", "{cel: value + input}")
    (tmp_path / "twice.yaml").write_text(cel)
    (tmp_path / "wrong.yaml").write_text("steps:\n- duoble\n- {sleep: 1s, bind: valeu}\n")
    (tmp_path / "typo.json").write_text('{"steps": ["duoble"]}')
    return tmp_path


def call(project: Path, *words: str, given: str | None = None) -> Result:
    (module,) = (path.stem for path in project.glob("m*.py"))
    before = current.peek()
    done = RUNNER.invoke(app, ["flows", *words, "-m", module], input=given)
    current.set(before)
    return done


def told(project: Path, *words: str) -> Any:
    return json.loads(call(project, *words, "--json").stdout)


def test_validate_says_what_is_wrong_and_where(project: Path) -> None:
    good = call(project, "validate", "twice.yaml")
    assert (good.exit_code, good.stdout) == (0, "twice.yaml is a valid flow\n")
    assert told(project, "validate", "twice.yaml") == {"valid": True, "problems": []}
    bad = call(project, "validate", "typo.json")
    assert bad.exit_code == 2
    assert "steps[0]: there is no stage 'duoble' here. Did you mean 'double'?" in bad.output
    assert told(project, "validate", "wrong.yaml") == {
        "valid": False,
        "problems": [
            {
                "path": "steps[1].bind",
                "problem": "the expression 'valeu' reads 'valeu', which is none of value, input, "
                "context, steps",
                "nearest": "value",
            }
        ],
    }


def test_draw_prints_the_plan(project: Path) -> None:
    assert call(project, "draw", "twice.yaml").stdout.startswith("flowchart LR\n")
    plan = told(project, "draw", "twice.yaml")["plan"]
    assert plan["name"] == "twice"
    assert plan["steps"] == {"~start": 0}


def test_run_starts_waits_and_prints(project: Path, engine: Engine, worker: Worker) -> None:
    call(project, "validate", "twice.yaml")  # the module is loaded by now
    for definition in engine.definitions.stages.values():
        engine.bind(definition)
    worker.start()
    done = told(project, "run", "twice.yaml", "--input", "4", "--wait", "20s", "--tenant", "acme")
    assert (done["state"], done["result"], done["flow"]) == ("completed", 24, "twice")
    assert engine.view(done["run"]).tenant == "acme"
    (project / "input.json").write_text("5")
    done = told(project, "run", "twice.yaml", "--input", "input.json", "--wait", "20s")
    assert done["result"] == 30


def test_a_key_given_twice_is_one_run(project: Path) -> None:
    first = told(project, "run", "twice.yaml", "--input", "4", "--key", "k1")
    again = told(project, "run", "twice.yaml", "--input", "9", "--key", "k1")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert first["run"] == again["run"]


def test_a_flow_is_read_from_standard_input(project: Path) -> None:
    text = (project / "twice.yaml").read_text()
    assert call(project, "validate", "-", given=text).exit_code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "none.yaml"), "flow_unreadable"),
        (("draw", "wrong.yaml"), "flow_invalid"),
        (("run", "wrong.yaml"), "flow_invalid"),
        (("run", "twice.yaml", "--input", "x"), "payload_invalid"),
        (("run", "twice.yaml", "--input", '"text"'), "payload_invalid"),
        (("run", "twice.yaml", "--input", "1", "--key", "a b"), "key_invalid"),
        (("run", "twice.yaml", "--input", "1", "--tenant", "a b"), "tenant_invalid"),
    ],
)
def test_wrong_usage_is_named(project: Path, words: tuple[str, ...], code: str) -> None:
    error = call(project, *words).exception
    assert isinstance(error, CallboardError)
    assert (error.code, int(exit_of(error))) == (code, 2)


def test_the_schema_is_printed() -> None:
    done = RUNNER.invoke(app, ["flows", "schema"])
    assert json.loads(done.stdout) == schema()
