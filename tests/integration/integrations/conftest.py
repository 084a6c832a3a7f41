"""Fixtures: an engine with a worker here, a server for its callbacks, and one that is like n8n."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest

from engine import Settings, current
from engine.bootstrap import build
from engine.integrations.callback_server import CallbackServer
from engine.store.connection import Links
from engine.store.letters import Letter
from engine.workflow import registry
from engine.workflow.run import Run
from tests.chaos.conftest import calm_server, namespace
from tests.integration.integrations.workflows import Workflows
from tests.servers import ThrowawayServer

__all__ = ["calm_server", "namespace"]


class Office:
    """An engine whose definitions are this test's alone, and where its callbacks arrive."""

    def __init__(self, url: str, namespace: str, workflows: Workflows, **settings: Any) -> None:
        self.workflows = workflows
        self.desk = CallbackServer(max_body_bytes=20_000)
        values: dict[str, Any] = {
            "redis_url": url,
            "namespace": namespace,
            "tracing_sample_ratio": 0.0,
            "callback_base_url": self.desk.url,
            "max_payload_bytes": 20_000,
            **settings,
        }
        self.engine = build(Settings(**values))
        self.desk.engine = self.engine
        self.worker: dramatiq.Worker | None = None

    def start(self, pipeline: Any, value: Any, **options: Any) -> Run:
        """Start a run; the worker begins with the first, when all is defined."""
        if self.worker is None:
            self.worker = dramatiq.Worker(self.engine.broker, worker_threads=4, worker_timeout=100)
            self.engine.broker.emit_after("process_boot")
            self.worker.start()
        return pipeline.start(value, **options)

    def letters(self) -> list[Letter]:
        letters = self.engine.store.letters
        ids = [each for queue in ("default", "integration-tasks") for each in letters.newest(queue)]
        return [letter for letter in map(letters.read, ids) if letter]

    def stored(self) -> str:
        """Every key and value of the namespace but the secret."""
        links = self.engine.store.links
        names = links.command("KEYS", links.keys.prefix.replace("{", r"\{") + "*")
        secret = links.keys.name("secret").encode()
        return repr([(name, _held(links, name)) for name in names if name != secret])

    def close(self) -> None:
        if self.worker is not None:
            self.worker.stop()
        self.engine.close()


_READS: dict[bytes, tuple[object, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"list": ("LRANGE", 0, -1),
    b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"),
}


def _held(links: Links, name: bytes) -> object:
    command, *rest = _READS[links.command("TYPE", name)]
    return links.command(command, name, *rest)


@pytest.fixture
def workflows() -> Iterator[Workflows]:
    with Workflows() as server:
        yield server


@pytest.fixture
def office(
    calm_server: ThrowawayServer,
    namespace: str,
    workflows: Workflows,
    request: pytest.FixtureRequest,
) -> Iterator[Office]:
    """Settings of a test's own come with `parametrize(..., indirect=True)`."""
    with registry.isolated():
        office = Office(calm_server.url, namespace, workflows, **getattr(request, "param", {}))
        try:
            with office.desk:
                yield office
        finally:
            office.close()
            current.set(None)
            dramatiq.set_broker(None)  # type: ignore[arg-type]
