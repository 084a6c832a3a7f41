"""`callboard up` and `down`: everything on one machine in one command, and its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.exits import Exit
from engine.cli.installation import engine_with, environ_for
from engine.cli.modules import Modules
from engine.cli.output import AsJson, print_json, say, screen
from engine.cli.watching import Watch
from engine.cli.worker import obey_signals, programs_of
from engine.clock import duration_ms
from engine.config import Profile, Settings, load_settings
from engine.control.child import Program
from engine.control.standing import bring_down, standing
from engine.control.supervisor import Supervisor
from engine.store.embedded import EmbeddedServer

StopWithin = Annotated[
    str, typer.Option("--stop-within", help="How long work in hand may take to end.")
]


def up(
    processes: Annotated[int, typer.Option("--processes", "-p", help="Worker processes.")] = 0,
    threads: Annotated[int, typer.Option("--threads", "-t", help="Threads a process.")] = 0,
    watch: Annotated[
        Path | None,
        typer.Option("--watch", help="Replace the processes when a file in here changes."),
    ] = None,
    stop_within: StopWithin = "30s",
    module: Modules = None,
) -> None:
    """Run server, workers and scheduler here until Ctrl-C, then drain.

    The server is the embedded one, in CALLBOARD_DATA_DIR, unless an address is set. The profile is
    development unless CALLBOARD_PROFILE says otherwise.
    """
    stop_ms = duration_ms(stop_within, name="--stop-within")
    settings, environ = development_settings()
    with standing(settings.data_dir):
        server = None if settings.redis_address() else EmbeddedServer(
            settings.data_dir, appendfsync=settings.embedded_appendfsync
        )  # fmt: skip
        if server is None:
            killed = _serve(settings, environ, module, processes, threads, watch, stop_ms)
        else:
            with server:
                settings = settings.with_values(redis_url=server.url)
                killed = _serve(settings, environ, module, processes, threads, watch, stop_ms)
    if killed:
        raise typer.Exit(Exit.FAILED)


def development_settings() -> tuple[Settings, dict[str, str]]:
    """Reads the settings, in the development profile by default; and what children must be told."""
    if os.environ.get("CALLBOARD_PROFILE"):
        return load_settings(), {}
    settings = load_settings(profile=Profile.DEVELOPMENT)
    return settings, {"CALLBOARD_PROFILE": Profile.DEVELOPMENT.value}


def programs_on(
    settings: Settings,
    environ: dict[str, str],
    module: list[str] | None,
    processes: int,
    threads: int,
    *,
    stop_ms: int,
) -> list[Program]:
    """Returns the workers and the scheduler of one machine."""
    engine = engine_with(module, settings)
    workers = programs_of(module, processes, threads, None, stop_ms=stop_ms, engine=engine)
    engine.close()
    environ = {**environ, **environ_for(settings)}
    scheduler = Program("scheduler", [sys.executable, "-m", "engine.cli", "scheduler"], environ)
    return [*(one._replace(environ={**one.environ, **environ}) for one in workers), scheduler]


def _serve(
    settings: Settings,
    environ: dict[str, str],
    module: list[str] | None,
    processes: int,
    threads: int,
    watch: Path | None,
    stop_ms: int,
) -> int:
    programs = programs_on(settings, environ, module, processes, threads, stop_ms=stop_ms)
    supervisor = Supervisor(programs, tell=say, stop_ms=stop_ms)
    obey_signals(supervisor)
    say(f"store: {settings.shown_address()}")
    say(f"starting {len(programs) - 1} workers and a scheduler; Ctrl-C drains and ends all")
    with Watch(watch, supervisor.ask_roll):
        return supervisor.serve()


def down(stop_within: StopWithin = "60s", as_json: AsJson = False) -> None:
    """End what `up` started here, after the drain, and the embedded server, whoever started it."""
    settings, _ = development_settings()
    within_ms = duration_ms(stop_within, name="--stop-within")
    pid = bring_down(settings.data_dir, within_ms=within_ms)
    server = EmbeddedServer(settings.data_dir)
    served = server.running()
    server.stop()
    if as_json:
        print_json({"up": pid, "server_stopped": served})
        return
    told = [f"process {pid} has drained and ended"] if pid else []
    told += ["the embedded server is stopped"] if served else []
    screen().print("; ".join(told) or f"nothing runs in {settings.data_dir}", markup=False)
