"""Without the extra, what needs it says so; what does not need it works."""

from __future__ import annotations

import sys

import pytest

from engine import stage
from engine.errors import ExtraMissing
from engine.flows import load


@pytest.fixture(autouse=True)
def _bare(definitions, monkeypatch: pytest.MonkeyPatch) -> None:
    @stage
    def parse(event: dict) -> dict:
        return event

    for library in ("cel", "jmespath", "yaml"):
        monkeypatch.setitem(sys.modules, library, None)


def test_json_without_expressions_needs_no_extra() -> None:
    assert load('{"steps": ["parse", {"sleep": "1s"}, "parse"]}').plan().stages() == ("parse",)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("steps: [parse]\n", "YAML"),
        ({"steps": [{"stage": "parse", "bind": "value.never_seen_1"}]}, "JMESPath"),
        ({"steps": [{"repeat": "parse", "until": "value.never_seen_2"}]}, "CEL"),
    ],
)
def test_what_needs_the_extra_names_it(source: object, what: str) -> None:
    with pytest.raises(ExtraMissing, match=what) as caught:
        load(source)  # type: ignore[arg-type]
    assert "pip install 'callboard[flows]'" in str(caught.value)
