"""The JSON Schema in the package is the table that the reader checks against."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from engine.flows import problems_of, schema
from engine.flows.shapes import CASE, COMMON, DOCUMENT, KINDS
from tests.architecture.reading import ROOT, python_examples


def shipped() -> dict[str, Any]:
    return json.loads(files("engine.flows").joinpath("schema.json").read_text())


def test_the_file_in_the_package_is_the_table() -> None:
    assert shipped() == schema(), "run: callboard flows schema > engine/flows/schema.json"


def test_every_reference_in_it_leads_somewhere() -> None:
    text = json.dumps(shipped())
    assert set(re.findall(r"#/\$defs/(\w+)", text)) <= set(shipped()["$defs"])


def test_every_field_is_described_and_on_the_page() -> None:
    page = (ROOT / "docs/flows.md").read_text()
    for fields in (DOCUMENT, COMMON, CASE, *KINDS.values()):
        for name, field in fields.items():
            assert field.meaning
            assert f"`{name}`" in page, name


YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_document_on_the_page_is_valid(definitions) -> None:
    page = (ROOT / "docs/flows.md").read_text()
    for example in python_examples(ROOT / "docs/flows.md"):
        if "@stage" in example:
            exec(compile(example, "docs/flows.md", "exec"), {"__name__": "docs_flows"})
    documents = [found for found in YAML.findall(page) if "steps:" in found]
    assert len(documents) >= 3
    for document in documents:
        if not document.lstrip().startswith("#"):
            assert problems_of(document) == [], document


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_a_step_of_the_schema(kind: str) -> None:
    steps = [step for step in shipped()["$defs"]["step"]["oneOf"] if step["type"] == "object"]
    (own,) = [step for step in steps if kind in step["properties"] and kind in step["required"]]
    assert set(own["properties"]) == {*KINDS[kind], *COMMON}
    assert own["additionalProperties"] is False
