"""Small parts of the command line: arguments, exit codes, durations, modules, watched files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cli.exits import Exit, exit_of
from engine.cli.modules import ModuleMissing, chosen
from engine.cli.output import plain, shown_ms
from engine.cli.watching import stamps_of
from engine.cli.worker import spread
from engine.control.feeding import Refusal
from engine.errors import (
    CallboardError,
    DeadLetterNotFound,
    PayloadTooLarge,
    RunNotFound,
    StoreFull,
    StoreUnreachable,
    UnknownQueue,
)


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("-Q one two -p 2", "-Q one -Q two -p 2"),
        ("app -Q one", "app -Q one"),
        ("-p 2 --queues one two three", "-p 2 --queues one --queues two --queues three"),
        ("-Q one -Q two", "-Q one -Q two"),
        ("app other -t 4", "app other -t 4"),
    ],
)
def test_q_takes_every_value_up_to_the_next_option(given: str, means: str) -> None:
    assert spread(given.split()) == means.split()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownQueue("x"), Exit.USAGE),
        (PayloadTooLarge("x", 2, 1), Exit.USAGE),
        (StoreUnreachable("here", "gone"), Exit.STORE),
        (StoreFull(), Exit.STORE),
        (RunNotFound("x"), Exit.NOT_FOUND),
        (DeadLetterNotFound("x"), Exit.NOT_FOUND),
        (CallboardError("x"), Exit.FAILED),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: CallboardError, code: Exit) -> None:
    assert exit_of(error) is code


@pytest.mark.parametrize(
    ("took_ms", "shown"),
    [(None, "-"), (0, "0 ms"), (999, "999 ms"), (1_500, "1.5 s"), (65_000, "1 m 05 s"),
     (7_800_000, "2 h 10 m"), (200_000_000, "2 d 7 h")],
)  # fmt: skip
def test_durations_read_well(took_ms: int | None, shown: str) -> None:
    assert shown_ms(took_ms) == shown


def test_named_tuples_become_objects_in_any_depth() -> None:
    refusal = Refusal(3, "line_invalid", "no JSON")
    assert plain({"a": [refusal]}) == {"a": [refusal._asdict()]}


def test_modules_are_those_of_this_directory_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleMissing, match="callboard new"):
        chosen(None)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    assert chosen(None) == ["pipelines"]
    assert chosen(["mine"]) == ["mine"]


def test_a_changed_file_has_another_stamp_and_hidden_ones_do_not_count(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "skipped.py").touch()
    watched = tmp_path / "seen.py"
    watched.touch()
    before = stamps_of(tmp_path)
    os.utime(watched, ns=(1, 1))
    assert list(before) == [watched]
    assert stamps_of(tmp_path) != before
