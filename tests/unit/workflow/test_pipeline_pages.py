"""Every example of the pages on the pipeline language runs as it stands."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from tests.architecture.reading import ROOT, python_examples, shown

PAGES = sorted((ROOT / "docs" / "pipelines").glob("*.md"))


@pytest.mark.parametrize("page", [page for page in PAGES if python_examples(page)], ids=shown)
def test_the_examples_of_a_page_run(
    page: Path, callboard: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType(f"page_{page.stem}")
    module.__dict__["callboard"] = callboard
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, example in enumerate(python_examples(page), start=1):
        exec(compile(example, f"{shown(page)}, example {number}", "exec"), module.__dict__)
