"""`callboard demo`: a server, workers, a scheduler and a sample, from nothing to a summary."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.bootstrap import Engine
from engine.cli.exits import Exit
from engine.cli.installation import engine_with
from engine.cli.lookup_endpoint import LookupEndpoint
from engine.cli.output import AsJson, say
from engine.cli.run import run_file
from engine.cli.summary import show
from engine.cli.up import development_settings, programs_on
from engine.config import Settings
from engine.control.supervisor import Supervisor
from engine.errors import CallboardError
from engine.store.embedded import EmbeddedServer
from engine.telemetry.wiring import wire

_PROCESSES = 2
_BOOT_S = 45.0
_STOP_MS = 10_000
_RUNS_MS = 60_000


class WorkersNotReady(CallboardError):
    """The demo's workers did not come up; their own words stand above."""

    code = "workers_not_ready"


def demo(
    pipeline: Annotated[str, typer.Option(help="Pipeline to show.")] = "github-events",
    input_file: Annotated[Path, typer.Option("--input", "-i", help="What to feed it.")] = Path(
        "pipelines/sample.jsonl"
    ),
    repeat: Annotated[int, typer.Option(min=1, help="How often to feed it.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show the whole thing on a small sample: nothing to install, nothing left running.

    Exits with 1 if anything was lost or failed.
    """
    scratch = Path(tempfile.mkdtemp(prefix="callboard-demo-"))
    try:
        with _everything(scratch) as engine:
            summary = run_file(
                engine, engine.definitions.pipeline(pipeline), input_file, repeat, _RUNS_MS
            )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    show(summary, as_json=as_json)
    if not summary.good:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _everything(scratch: Path) -> Iterator[Engine]:
    """Server, endpoint, workers and scheduler for the length of a block; an engine to send with."""
    settings, environ = development_settings()
    traces = _fresh(settings.data_dir / "demo-traces.jsonl")
    notices = _fresh(settings.data_dir / "demo-notices.txt")
    say("starting the embedded server")
    with EmbeddedServer(scratch / "store") as server, LookupEndpoint() as endpoint:
        told = {
            **environ,
            "CALLBOARD_REDIS_URL": server.url,
            "CALLBOARD_TRACES_FILE": str(traces),
            "GITHUB_ENRICH_URL": endpoint.url,
            "CALLBOARD_LOG_LEVEL": "warning",
            "NOTIFY_CHANNEL": f"file:{notices}",
        }
        settings = settings.with_values(redis_url=server.url, traces_file=traces)
        with _running(settings, told):
            engine = engine_with(None, settings)
            telemetry = wire("callboard-demo", settings, announce=False)
            yield engine
            engine.close()
            if telemetry is not None:
                telemetry.shutdown()


@contextmanager
def _running(settings: Settings, environ: dict[str, str]) -> Iterator[None]:
    programs = programs_on(settings, environ, None, _PROCESSES, 0, stop_ms=_STOP_MS)
    # What the children need outranks what this shell has set for another installation.
    programs = [one._replace(environ={**one.environ, **environ}) for one in programs]
    say(f"starting {_PROCESSES} worker processes and a scheduler")
    supervisor = Supervisor(programs, tell=say, stop_ms=_STOP_MS)
    serving = threading.Thread(target=supervisor.serve, name="callboard-supervisor")
    serving.start()
    try:
        _until_ready(supervisor)
        yield
        say("draining")
    finally:
        supervisor.ask_stop()
        serving.join()


def _until_ready(supervisor: Supervisor) -> None:
    give_up_at = time.monotonic() + _BOOT_S
    while supervisor.ready < _PROCESSES:
        if time.monotonic() > give_up_at:
            raise WorkersNotReady(
                f"Of {_PROCESSES} workers {supervisor.ready} came up in {_BOOT_S:.0f} s. "
                "Their output above has the reason."
            )
        time.sleep(0.05)


def _fresh(path: Path) -> Path:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - without asking the file system
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path
