"""`callboard run`: a file of JSON lines through a pipeline, once each, to the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from engine.bootstrap import Engine
from engine.cli.exits import Exit
from engine.cli.installation import engine_with
from engine.cli.modules import Modules
from engine.cli.output import AsJson, say
from engine.cli.progress import RunProgress
from engine.cli.summary import Summary, show
from engine.clock import duration_ms
from engine.control.feeding import Refusal, count_lines, feed
from engine.control.follow import Follower
from engine.errors import OptionInvalid
from engine.telemetry.wiring import wire
from engine.workflow.pipeline import Pipeline


def run(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline.")],
    input_file: Annotated[
        Path, typer.Option("--input", "-i", help="File of JSON lines, a run each.")
    ],
    repeat: Annotated[
        int, typer.Option(help="How often to feed the file, each time as new runs.")
    ] = 1,
    timeout: Annotated[
        str | None, typer.Option(help="How long to wait for the runs to end; they go on after it.")
    ] = None,
    module: Modules = None,
    as_json: AsJson = False,
) -> None:
    """Start a run for every line of a file and wait until all have ended.

    A line gives the same run whenever the file is fed, so feeding it again adds none. Exits with 1
    if a line was refused or a run failed, was lost or has not ended.
    """
    timeout_ms = None if timeout is None else duration_ms(timeout, name="--timeout")
    if repeat < 1:
        raise OptionInvalid("--repeat", repeat, "a whole number of 1 or more")
    engine = engine_with(module)
    wire("callboard-cli", engine.settings, announce=False)
    found = engine.definitions.pipeline(pipeline)
    _warn_without_workers(engine, found)
    summary = run_file(engine, found, input_file, repeat, timeout_ms)
    show(summary, as_json=as_json)
    if not summary.good:
        raise typer.Exit(Exit.FAILED)


def run_file(
    engine: Engine, pipeline: Pipeline, path: Path, repeat: int, timeout_ms: int | None
) -> Summary:
    """Feeds a file and follows its runs to their end, with progress on standard error.

    Raises:
        LinesMissing: The file cannot be read; nothing was started.
        StoreError: The store refused or did not answer; doing it again is safe.
    """
    total = count_lines(path) * repeat
    follower = Follower(engine.store)
    begun_at = time.monotonic()
    new = duplicates = 0
    refused: list[Refusal] = []
    sample: str | None = None
    with RunProgress(total, pipeline.name) as progress:

        def tell() -> None:
            bad = follower.states.get("failed", 0)
            progress.show(new + duplicates, follower.ended, bad)

        for fed in feed(pipeline, path, repeat=repeat):
            fresh = [started.id for started in fed.runs if not started.duplicate]
            again = [started.id for started in fed.runs if started.duplicate]
            follower.add(fresh, seen_before=again)
            refused += fed.refused
            new, duplicates = new + len(fresh), duplicates + len(again)
            # Of the first chunk the last: it waited for others, as most runs do.
            sample = sample or next(reversed(fresh or again), None)
            follower.read()
            tell()
        follower.until_ended(tell, timeout_ms=timeout_ms)
    seconds = time.monotonic() - begun_at
    record = engine.store.runs.read(sample) if sample else None
    return Summary(
        pipeline.name,
        total,
        new,
        duplicates,
        refused,
        follower,
        seconds,
        record,
        where_traces_are(engine),
    )


def where_traces_are(engine: Engine) -> str:
    """Returns in words where to look for the traces of the runs."""
    settings = engine.settings
    if settings.traces_file:
        return f"{settings.traces_file} (a span a line, JSON)"
    if settings.otlp_endpoint:
        return f"exported to {settings.otlp_endpoint}"
    return "not collected; set OTEL_EXPORTER_OTLP_ENDPOINT or CALLBOARD_TRACES_FILE for the workers"


def _warn_without_workers(engine: Engine, pipeline: Pipeline) -> None:
    served = {queue for consumer in engine.store.queues.consumers() for queue in consumer.queues}
    queues = {
        str(queue) for node in pipeline.plan().nodes if (queue := getattr(node, "queue", None))
    }
    if missing := sorted(queues - served):
        say(f"No worker serves {', '.join(missing)} yet: start `callboard worker`.")
