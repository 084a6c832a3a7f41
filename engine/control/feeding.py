"""From a file of JSON lines to runs: once each, however often the file is fed.

The hook: a pipeline's module may define a plain function that says what a line means,

    def from_line(line: dict, number: int, repetition: int) -> tuple[input, key, tenant]

`number` counts from 1, `repetition` from 1 to what `--repeat` says; `key` must differ for every
pair of them and be the same whenever the file is fed again; `tenant` may be None. A NamedTuple
(input, key, tenant) does as well. Without the hook the whole line is the input, the key is
`{file name}:{number}:{repetition}`, and the tenant is the default one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import CallboardError, InputError
from engine.workflow.pipeline import Pipeline
from engine.workflow.run import Run

HOOK = "from_line"
_CHUNK = 1_000


class Job(NamedTuple):
    """What one line asks for."""

    input: Any
    key: str | None
    tenant: str | None


FromLine = Callable[[Any, int, int], tuple[Any, str | None, str | None]]


class Refusal(NamedTuple):
    """A line of which no run was made, and why. `number` is 0 for a file without lines."""

    number: int
    code: str
    problem: str


class LinesMissing(InputError):
    """The input file cannot be read; nothing was started."""

    code = "lines_missing"

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = str(path), problem
        super().__init__(f"{str(path)!r} cannot be read: {problem}. Give a file of JSON lines.")


class Fed(NamedTuple):
    """The runs of one chunk of lines, and the lines that were refused."""

    runs: list[Run]
    refused: list[Refusal]


def count_lines(path: Path) -> int:
    """Returns how many lines hold something; raises LinesMissing."""
    return sum(1 for _ in _lines(path))


def feed(pipeline: Pipeline, path: Path, *, repeat: int = 1) -> Iterator[Fed]:
    """Starts a run for every line of a file, `repeat` times, in chunks of up to 1,000.

    A line that is refused (no JSON, not of the pipeline's type, a key that cannot be used) is told
    and the others go on.

    Raises:
        LinesMissing: The file cannot be read.
        StoreError: The store refused or did not answer; feeding the file again is safe.
    """
    hook = hook_of(pipeline, path)
    jobs: list[tuple[int, Job]] = []
    refused: list[Refusal] = []
    for repetition in range(1, repeat + 1):
        for number, text in _lines(path):
            job = _job(hook, text, number, repetition)
            if isinstance(job, Refusal):
                refused.append(job)
            else:
                jobs.append((number, job))
            if len(jobs) >= _CHUNK:
                yield _started(pipeline, jobs, refused)
                jobs, refused = [], []
    yield _started(pipeline, jobs, refused)


def hook_of(pipeline: Pipeline, path: Path) -> FromLine:
    """Returns the hook of the pipeline's module, or the default for lines of this file."""
    module = sys.modules.get(pipeline.origin.module)
    hook: FromLine | None = getattr(module, HOOK, None)
    if hook is not None:
        return hook
    return lambda line, number, repetition: Job(line, f"{path.name}:{number}:{repetition}", None)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield number, text
    except OSError as error:
        raise LinesMissing(path, error.strerror or str(error)) from None


def _job(hook: FromLine, text: bytes, number: int, repetition: int) -> Job | Refusal:
    try:
        return Job(*hook(json.loads(text), number, repetition))
    except CallboardError as error:
        return Refusal(number, error.code, str(error))
    except json.JSONDecodeError as error:
        return Refusal(number, "line_invalid", f"no JSON at column {error.colno}: {error.msg}")
    except Exception as error:  # noqa: BLE001 - the hook is the user's: its failure is the line's
        return Refusal(
            number, "line_invalid", f"{HOOK} failed: {type(error).__name__}: {error}"[:500]
        )


def _started(pipeline: Pipeline, jobs: list[tuple[int, Job]], refused: list[Refusal]) -> Fed:
    if not jobs:
        return Fed([], refused)
    try:
        return Fed(_start(pipeline, [job for _, job in jobs]), refused)
    except InputError as error:
        if len(jobs) == 1:
            return Fed([], [*refused, Refusal(jobs[0][0], error.code, str(error))])
    # A line that cannot be encoded keeps its chunk from starting: halve until it stands alone.
    half = len(jobs) // 2
    first = _started(pipeline, jobs[:half], refused)
    second = _started(pipeline, jobs[half:], [])
    return Fed(first.runs + second.runs, first.refused + second.refused)


def _start(pipeline: Pipeline, jobs: list[Job]) -> list[Run]:
    return pipeline.start_many(
        [job.input for job in jobs],
        tenant=[job.tenant for job in jobs],
        keys=[job.key for job in jobs],
    )
