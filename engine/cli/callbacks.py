"""`callboard callbacks`: where the answers of n8n and others arrive."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from engine.cli.installation import engine_with
from engine.cli.modules import Modules
from engine.cli.output import say, screen
from engine.control import lifeline
from engine.integrations.callback_server import CallbackServer
from engine.telemetry.logs import setup_logs


def callbacks(
    host: Annotated[str, typer.Option(help="Where to listen; behind a proxy.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8711,
    invite: Annotated[
        str | None,
        typer.Option(
            metavar="PIPELINE", help="Print the address that starts this pipeline, and end."
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="For whom the invitation starts runs.")] = None,
    module: Modules = None,
) -> None:
    """Receive callbacks, and requests that start pipelines, over HTTP."""
    engine = engine_with(module)
    if invite is not None:
        pipeline = engine.definitions.pipeline(invite)
        screen().print(engine.callbacks.invite(pipeline.name, tenant), markup=False, soft_wrap=True)
        return
    settings = engine.settings
    setup_logs(settings.log_level, settings.shown_log_format)
    limit = settings.max_payload_bytes
    server = CallbackServer(host, port, engine=engine, max_body_bytes=limit)
    say(f"callbacks arrive at {server.url}")
    lifeline.ready()
    with server:
        _stop().wait()


def _stop() -> threading.Event:
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    return stop
