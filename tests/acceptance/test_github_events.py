"""The main job on real input: 164 webhook deliveries, each once, whatever its shape.

`github-webhooks.jsonl.gz` holds the examples of the npm package @octokit/webhooks-examples 7.6.1
(MIT).
"""

from __future__ import annotations

import gzip
import importlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
import pytest
from dramatiq import Worker

from actors import integration
from engine import Run, RunState, Settings, build, current
from engine.bootstrap import Engine
from engine.integrations.http import HttpClient
from pipelines import github_events as module
from tests.servers import ThrowawayServer

DELIVERIES = Path(__file__).with_name("github-webhooks.jsonl.gz")
SAMPLE = Path(module.__file__ or "").with_name("sample.jsonl")


class Stand(NamedTuple):
    engine: Engine
    notices: Path

    def feed(self, lines: list[dict[str, Any]], repeat: int = 1) -> list[Run]:
        starts = [
            module.from_line(line, number, repetition)
            for repetition in range(1, repeat + 1)
            for number, line in enumerate(lines, start=1)
        ]
        inputs, keys, tenants = (list(part) for part in zip(*starts, strict=True))
        return module.github_events.start_many(inputs, keys=keys, tenant=tenants)

    def told(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.notices.read_text().splitlines()]

    def used(self) -> Counter[str]:
        """Usage of all tenants in the months of this test, by kind."""
        client = self.engine.store.links
        total: Counter[str] = Counter()
        for name in client.command("KEYS", self.engine.store.links.keys.prefix + "usage:*"):
            tenant, month = name.decode().split("usage:")[1].rsplit(":", 1)
            total.update(self.engine.store.usage.read(tenant, month))
        return total


@pytest.fixture(scope="module")
def server() -> Iterator[ThrowawayServer]:
    with ThrowawayServer(appendfsync=None) as running:
        yield running


@pytest.fixture
def stand(
    server: ThrowawayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stand]:
    monkeypatch.setenv("NOTIFY_CHANNEL", f"file:{tmp_path / 'notices.jsonl'}")
    monkeypatch.delenv("GITHUB_ENRICH_URL", raising=False)
    importlib.reload(module)  # whatever registry an earlier test used, the pipeline is in this one
    settings = Settings(
        redis_url=server.url, namespace=f"t{uuid4().hex[:12]}", tracing_sample_ratio=0.0
    )
    with current.use(None):
        engine = build(settings)
        worker = Worker(engine.broker, worker_threads=4, worker_timeout=100)
        worker.start()
        try:
            yield Stand(engine, tmp_path / "notices.jsonl")
        finally:
            worker.stop()
            engine.close()


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def states(runs: list[Run]) -> Counter[RunState]:
    return Counter(run.wait("30s") for run in runs)


def test_every_real_delivery_completes_once_and_feeding_the_file_again_adds_none(
    stand: Stand,
) -> None:
    lines = lines_of(DELIVERIES)
    assert len(lines) == 164

    runs = stand.feed(lines)
    assert states(runs) == {RunState.COMPLETED: 164}
    again = stand.feed(lines)

    assert [run.id for run in again] == [run.id for run in runs]
    assert all(run.duplicate for run in again)
    keys = [notice["key"] for notice in stand.told()]
    assert len(keys) == len(set(keys)) == 164
    used = stand.used()
    assert used["deliveries"] == 164
    assert sum(n for kind, n in used.items() if kind.startswith("deliveries.")) == 164
    assert used["lookups"] == 0


def test_repetitions_are_runs_of_their_own(stand: Stand) -> None:
    runs = stand.feed(lines_of(SAMPLE), repeat=3)

    assert states(runs) == {RunState.COMPLETED: 3 * len(lines_of(SAMPLE))}
    assert len({run.id for run in runs}) == len(runs)


def test_what_an_endpoint_knows_is_told_and_counted(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(dict(request.url.params))
        return httpx2.Response(200, json={"stars": 42, "owner": {"deep": "ignored"}})

    monkeypatch.setenv("GITHUB_ENRICH_URL", "http://facts.test/lookup?v=1")
    monkeypatch.setattr(integration, "http", HttpClient(transport=httpx2.MockTransport(answer)))
    push = next(line for line in lines_of(SAMPLE) if line["event"] == "push")

    run = stand.feed([push])[0]
    result = run.result("20s")

    assert result["counted"] == {"deliveries": 1, "deliveries.code": 1, "lookups": 1}
    assert result["recipient"] == "Codertocat/code"
    assert result["delivery"] == module.from_line(push, 1, 1)[0].id
    assert asked == [
        {"v": "1", "event": "push", "repository": "Codertocat/Hello-World", "actor": "Codertocat"}
    ]
    assert "stars: 42" in stand.told()[0]["body"]


def test_an_endpoint_that_refuses_ends_the_run_as_a_dead_letter_with_its_story(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = httpx2.MockTransport(lambda request: httpx2.Response(404))
    monkeypatch.setenv("GITHUB_ENRICH_URL", "http://someone:hunter2@facts.test/gone?token=hunter2")
    monkeypatch.setattr(integration, "http", HttpClient(transport=refusing))

    run = stand.feed(lines_of(SAMPLE)[:1])[0]

    assert run.wait("20s") is RunState.FAILED
    letters = stand.engine.store.letters
    message = letters.newest("integration-tasks")[0]
    letter = letters.read(message)
    assert letter is not None
    assert letter.reason == "given_up"
    assert "http://facts.test/gone answered 404" in letter.story.decode()
    assert b"hunter2" not in letter.story
