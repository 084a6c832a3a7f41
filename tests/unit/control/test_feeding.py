"""From lines to jobs: hooks, keys, and what is refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import Pipeline, current, stage
from engine.control.feeding import LinesMissing, Refusal, feed
from engine.workflow import registry
from engine.workflow.run import Run
from engine.workflow.start import Start


class Taking:
    """An engine that takes starts and remembers them; a key known already gives a duplicate."""

    def __init__(self) -> None:
        self.starts: list[Start] = []

    def bind(self, definition: Any) -> None:
        pass

    def start_many(self, definition: Any, starts: Sequence[Start]) -> list[Run]:
        known = {start.key for start in self.starts}
        self.starts += starts
        return [Run(start.key or "", self, duplicate=start.key in known) for start in starts]  # type: ignore[arg-type]


@pytest.fixture
def engine() -> Iterator[Taking]:
    made = Taking()
    with registry.isolated(), current.use(made):  # type: ignore[arg-type]
        yield made


@pytest.fixture
def pipeline(engine: Taking) -> Pipeline:
    @stage
    def double(number: int) -> int:
        return number * 2

    return Pipeline("doubling", double)


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "numbers.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_without_a_hook_the_line_is_the_input_and_the_key_says_where_it_stands(
    engine: Taking, pipeline: Pipeline, tmp_path: Path
) -> None:
    fed = list(feed(pipeline, write(tmp_path, "1", "", "2"), repeat=2))
    assert [start.payload for start in engine.starts] == [b"1", b"2", b"1", b"2"]
    assert [start.key for start in engine.starts] == [
        "numbers.jsonl:1:1", "numbers.jsonl:3:1", "numbers.jsonl:1:2", "numbers.jsonl:3:2"
    ]  # fmt: skip
    assert not any(run.duplicate for part in fed for run in part.runs)
    again = list(feed(pipeline, write(tmp_path, "1", "", "2"), repeat=2))
    assert all(run.duplicate for part in again for run in part.runs)


def test_the_hook_of_the_pipelines_module_decides(
    engine: Taking, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("hooked")
    module.from_line = lambda line, number, repetition: (line["n"], f"k{number}", "acme")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hooked", module)
    pipeline.origin = pipeline.origin._replace(module="hooked")
    list(feed(pipeline, write(tmp_path, '{"n": 7}')))
    assert engine.starts == [Start(b"7", "acme", "k1")]


def test_a_line_that_is_refused_does_not_keep_the_others(
    engine: Taking, pipeline: Pipeline, tmp_path: Path
) -> None:
    path = write(tmp_path, "1", "{", '"text"', "4")
    refused = [one for part in feed(pipeline, path) for one in part.refused]
    assert [(one.number, one.code) for one in refused] == [
        (2, "line_invalid"),
        (3, "payload_invalid"),
    ]
    assert all(isinstance(one, Refusal) and one.problem for one in refused)
    assert [start.payload for start in engine.starts] == [b"1", b"4"]


def test_a_missing_file_is_a_named_error(
    engine: Taking, pipeline: Pipeline, tmp_path: Path
) -> None:
    with pytest.raises(LinesMissing, match=r"numbers\.jsonl"):
        list(feed(pipeline, tmp_path / "numbers.jsonl"))
    assert engine.starts == []
