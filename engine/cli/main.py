"""The `callboard` command: every command in one list, and what happens with their errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from engine.cli import (
    bulk,
    callbacks,
    control,
    dead,
    demo,
    doctor,
    draw,
    flows,
    new,
    plans,
    queues,
    runs,
    scheduler,
    send,
    steering,
    tenants,
    up,
    worker,
)
from engine.cli import (
    run as run_command,
)
from engine.cli.exits import MEANINGS, Exit, exit_of
from engine.cli.output import say
from engine.errors import CallboardError

_HELP = "Durable, multi-tenant workflows on Dramatiq."
_CODES = (
    "Exit codes: " + "; ".join(f"{code:d} {meaning}" for code, meaning in MEANINGS.items()) + "."
)

app = typer.Typer(
    name="callboard",
    help=_HELP,
    epilog=_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("up")(up.up)
app.command("down")(up.down)
app.command("worker", cls=worker.WorkerCommand)(worker.worker)
app.command("scheduler")(scheduler.scheduler)
app.command("callbacks")(callbacks.callbacks)
app.command("run")(run_command.run)
app.command("send")(send.send)
app.command("runs")(runs.runs)
app.command("show")(runs.show)
app.command("cancel")(runs.cancel)
app.command("retry")(control.retry)
app.command("replay")(control.replay)
app.command("why")(control.why)
app.command("signal")(steering.signal)
app.command("hold")(steering.hold)
app.command("release")(steering.release)
app.command("queues")(queues.queues)
app.command("pause")(queues.pause)
app.command("resume")(queues.resume)
app.add_typer(bulk.app, name="bulk")
app.add_typer(dead.app, name="dead")
app.add_typer(tenants.app, name="tenants")
app.add_typer(plans.app, name="plans")
app.command("doctor")(doctor.doctor)
app.command("draw")(draw.draw)
app.add_typer(flows.app, name="flows")
app.command("new")(new.new)
app.command("demo")(demo.demo)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and ends the process with its exit code.

    Args:
        arguments: None takes those of the process.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="callboard")
    except CallboardError as error:
        say(f"error[{error.code}]: {error}")
        sys.exit(exit_of(error))
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # `callboard runs | head`
        sys.stderr.close()
        sys.exit(Exit.OK)
    sys.exit(Exit.OK)
