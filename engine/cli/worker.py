"""`callboard worker`: supervises `dramatiq` processes with the right queues and threads."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from engine.bootstrap import Engine
from engine.cli import modules
from engine.cli.exits import Exit
from engine.cli.installation import engine_with, environ_for
from engine.cli.output import say
from engine.cli.watching import Watch
from engine.clock import duration_ms
from engine.control.child import Program
from engine.control.supervisor import Supervisor
from engine.errors import OptionInvalid, UnknownQueue
from engine.maintenance.duties import register
from engine.maintenance.duty import QUEUE as MAINTENANCE

_DEFAULT_THREADS = 8


class WorkerCommand(TyperCommand):
    """Lets `-Q one two` take several values, as `dramatiq` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spreads the values before the options are read."""
        return super().parse_args(ctx, spread(args))


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeats `-Q` or `--queues` before each of the values that follow it."""
    spread_out: list[str] = []
    flag = ""
    for word in arguments:
        if word in ("-Q", "--queues"):
            flag = word
        elif word.startswith("-"):
            flag = ""
            spread_out.append(word)
        else:
            spread_out += [flag, word] if flag else [word]
    return spread_out


def worker(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULES]...", help="Modules to import. Default: actors and pipelines here."
        ),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", "-p", help="Worker processes.")] = 0,
    threads: Annotated[int, typer.Option("--threads", "-t", help="Threads a process.")] = 0,
    queues: Annotated[
        list[str] | None,
        typer.Option("--queues", "-Q", help="Serve these queues only: -Q one two."),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option("--watch", help="Replace the workers when a file in here changes."),
    ] = None,
    stop_within: Annotated[
        str, typer.Option("--stop-within", help="How long work in hand may take to end.")
    ] = "60s",
) -> None:
    """Run workers: supervised `dramatiq` processes.

    A process that dies is started again, after 0.5 s at first, 30 s at most. SIGTERM and Ctrl-C
    let work in hand end and give the rest back; SIGHUP replaces the processes one by one.
    """
    stop_ms = duration_ms(stop_within, name="--stop-within")
    programs = programs_of(names, processes, threads, queues, stop_ms=stop_ms)
    supervisor = Supervisor(programs, tell=say, stop_ms=stop_ms)
    obey_signals(supervisor)
    with Watch(watch, supervisor.ask_roll):
        killed = supervisor.serve()
    if killed:
        raise typer.Exit(Exit.FAILED)


def obey_signals(supervisor: Supervisor) -> None:
    """Lets signals stop (SIGTERM, Ctrl-C) and roll (SIGHUP) a supervisor. Main thread only."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: supervisor.ask_stop())
    signal.signal(signal.SIGHUP, lambda *_: supervisor.ask_roll())


def programs_of(
    names: Sequence[str] | None,
    processes: int,
    threads: int,
    queues: Sequence[str] | None,
    *,
    stop_ms: int,
    engine: Engine | None = None,
) -> list[Program]:
    """Returns one program a worker process; 0 processes or threads leaves the number to us.

    Raises:
        ModuleMissing, UnknownQueue, OptionInvalid: Nothing was started.
    """
    for option, value in (("--processes", processes), ("--threads", threads)):
        if value < 0:
            raise OptionInvalid(option, value, "a whole number of 1 or more")
    processes = processes or os.cpu_count() or 1
    if names and ":" in names[0]:  # a broker of the user's own, as `dramatiq` takes it
        command = _command(list(names), threads or _DEFAULT_THREADS, queues, stop_ms)
        return [Program(f"worker {n + 1}", command, says_ready=False) for n in range(processes)]
    engine = engine or engine_with(names)
    register(engine)
    served = _served(engine, queues)
    threads = threads or _threads(engine, served, processes)
    command = _command(["engine.cli.boot:broker"], threads, queues, stop_ms)
    command.append("--skip-logging")  # boot sets the logs up by the settings
    environ = {modules.VARIABLE: ",".join(modules.chosen(names)), **environ_for(engine.settings)}
    growth_mb = _memory_growth_mb(engine, served)
    return [Program(f"worker {n + 1}", command, environ, growth_mb) for n in range(processes)]


def _served(engine: Engine, queues: Sequence[str] | None) -> list[str]:
    known = engine.broker.get_declared_queues()
    for queue in queues or ():
        if queue not in known:
            raise UnknownQueue(queue, known)
    return sorted(queues or known)


def _threads(engine: Engine, served: Sequence[str], processes: int) -> int:
    """Eight, or fewer where the served queues together may not use as many."""
    limits = [
        engine.settings.policy(queue).global_concurrency for queue in served if queue != MAINTENANCE
    ]
    if not limits or None in limits:
        return _DEFAULT_THREADS
    together = sum(limit for limit in limits if limit is not None)
    return max(1, min(_DEFAULT_THREADS, -(-together // processes)))


def _memory_growth_mb(engine: Engine, served: Sequence[str]) -> int | None:
    """What the work of all served queues may add to a process; None where none sets a limit."""
    limits = [engine.settings.policy(queue).memory_limit_mb for queue in served]
    return sum(limit for limit in limits if limit is not None) or None


def _command(
    names: Sequence[str], threads: int, queues: Sequence[str] | None, stop_ms: int
) -> list[str]:
    command = [sys.executable, "-m", "dramatiq", *names, "-p", "1", "-t", str(threads)]
    # The worker gives up before the supervisor does, so that it can still say goodbye.
    command += ["--worker-shutdown-timeout", str(max(stop_ms - 2_000, 1_000))]
    return [*command, "-Q", *queues] if queues else command
