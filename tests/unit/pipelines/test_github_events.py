"""The pipeline as a definition, and the starts that a file's lines make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import BACKBONE
from pipelines import github_events as module

LINE: dict[str, Any] = {"event": "push", "payload": {"sender": {"login": "octocat"}}}


def sample() -> list[dict[str, Any]]:
    text = Path(module.__file__ or "").with_name("sample.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_the_pipeline_passes_all_five_queues_of_the_backbone() -> None:
    nodes = module.github_events.plan().nodes
    queues = {node.queue for node in nodes if getattr(node, "queue", None)}
    assert queues == set(BACKBONE)


def test_a_line_gives_the_same_start_whenever_it_is_fed() -> None:
    delivery, key, tenant = module.from_line(LINE, 3, 2)

    assert module.from_line(json.loads(json.dumps(LINE)), 3, 2) == (delivery, key, tenant)
    assert (delivery.id, tenant) == (key, "octocat")
    assert key.startswith("3-2-")


def test_lines_repetitions_and_files_are_kept_apart() -> None:
    other = {**LINE, "event": "create"}
    keys = {
        module.from_line(line, number, repetition)[1]
        for line in (LINE, other)
        for number in (1, 2)
        for repetition in (1, 2)
    }
    assert len(keys) == 8


@pytest.mark.parametrize("line", [{}, {"event": "push", "payload": None}, {"payload": {}}])
def test_a_line_that_is_no_delivery_is_refused(line: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Delivery"):
        module.from_line(line, 1, 1)


def test_the_sample_holds_many_kinds_of_events() -> None:
    lines = sample()
    starts = [module.from_line(line, number, 1) for number, line in enumerate(lines, 1)]

    assert len({delivery.event for delivery, _, _ in starts}) == len(lines) >= 20
    assert len({tenant for _, _, tenant in starts}) >= 4
    assert any("repository" not in line["payload"] for line in lines)
    assert max(len(json.dumps(line)) for line in lines) < 1_000
