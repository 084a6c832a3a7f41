"""Finding the installation that a command speaks to: settings, store, engine.

Where no address is set, a command attaches to the embedded server of the data directory if one
runs. Only `up`, `demo` and the development profile start one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine import bootstrap, current
from engine.cli.modules import ModuleMissing, chosen, load
from engine.config import Settings, load_settings
from engine.errors import ConfigurationError
from engine.store.embedded import EmbeddedServer
from engine.store.store import Store


def settings_here() -> Settings:
    """Reads the settings, with the address of the embedded server if one runs and none is set.

    Raises:
        ConfigurationError: A setting is wrong, or there is neither an address nor a running server.
    """
    settings = load_settings()
    try:
        address = settings.redis_address()
    except ConfigurationError as error:
        server = EmbeddedServer(settings.data_dir)
        if not server.running():
            raise ConfigurationError(
                f"{error} Or start everything here with `callboard up`."
            ) from None
        return settings.with_values(redis_url=server.url)
    if address is None:
        server = EmbeddedServer(settings.data_dir, appendfsync=settings.embedded_appendfsync)
        return settings.with_values(redis_url=server.start())
    return settings


def environ_for(settings: Settings) -> dict[str, str]:
    """Returns the address that a child process must be told; nothing where it is set already."""
    given = ("CALLBOARD_REDIS_URL", "CALLBOARD_REDIS_HOST", "REDIS_URL", "REDIS_HOST")
    address = settings.redis_address()
    if address is None or any(os.environ.get(name) for name in given):
        return {}
    return {"CALLBOARD_REDIS_URL": address}


def engine_here() -> bootstrap.Engine:
    """An engine for commands that need no stages or pipelines: no module of the user's is run."""
    return bootstrap.Engine(settings_here())


def store_here() -> Store:
    """The store of the installation, for commands that need no more."""
    return engine_here().store


def engine_with(
    modules: Sequence[str] | None, settings: Settings | None = None
) -> bootstrap.Engine:
    """An engine that knows the user's stages and pipelines.

    A module that builds an engine of its own decides which one is used.
    """
    names = chosen(modules)
    bootstrap.build(settings or settings_here())
    load(names)
    return _built(current.get())


def engine_near(modules: Sequence[str] | None) -> bootstrap.Engine:
    """An engine that knows the user's stages where there are any; it works without them, too."""
    try:
        return engine_with(modules)
    except ModuleMissing:
        if modules:
            raise
        return engine_here()


def definitions_of(modules: Sequence[str] | None) -> bootstrap.Engine:
    """An engine that is asked about definitions alone, never about the store."""
    names = chosen(modules)
    bootstrap.build()
    load(names)
    return _built(current.get())


def _built(engine: object) -> bootstrap.Engine:
    if not isinstance(engine, bootstrap.Engine):
        raise ConfigurationError(
            f"The current engine is a {type(engine).__name__}. The command line needs one made by "
            "engine.bootstrap.build(settings)."
        )
    return engine
