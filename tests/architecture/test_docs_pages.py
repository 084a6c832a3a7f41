"""The pages hold together: links, examples, commands and files that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.cli.main import app
from engine.workflow.events import EventName
from tests.architecture.reading import (
    PAGES,
    ROOT,
    anchors,
    code,
    headings,
    links,
    prose,
    python_examples,
    shown,
)

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
ROOMS = (
    "workflow|store|broker|execution|config|control|maintenance|telemetry|middleware|integrations"
)
MAKEFILES = ("Makefile", "engine/cli/blueprint/Makefile.txt")


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), f"{shown(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(aim), f"{shown(page)} links to {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_python_example_compiles(page: Path) -> None:
    for number, example in enumerate(python_examples(page), start=1):
        compile(example, f"{shown(page)}, example {number}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    commands = {each.name for each in (*app.registered_commands, *app.registered_groups)}
    makefiles = "\n".join((ROOT / name).read_text() for name in MAKEFILES)
    targets = set(re.findall(r"^([a-z-]+):", makefiles, re.MULTILINE))
    for line in code(page):
        if found := re.match(r"callboard ([a-z]+)", line):
            assert found[1] in commands, f"{shown(page)}: {line}"
        if found := re.match(r"make ([a-z]+)", line):
            assert found[1] in targets, f"{shown(page)}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    for path in re.findall(r"`((?:engine|docs|tests|otel)/[\w/.]+)`", prose(page)):
        assert (ROOT / path).exists(), f"{shown(page)} names {path}"
    for path in re.findall(rf"`((?:{ROOMS})/[\w/.]+)`", prose(page)):
        assert (ROOT / "engine" / path).exists(), f"{shown(page)} names {path}"


@pytest.mark.parametrize("page", DECISIONS, ids=shown)
def test_every_decision_has_context_decision_and_consequences(page: Path) -> None:
    title, *sections = headings(page)
    assert title.startswith(f"{page.name[:4]}: ")
    assert sections == ["Context", "Decision", "Consequences"]
    assert f"]({page.name})" in (page.parent / "README.md").read_text()


def told_by_scripts() -> set[str]:
    """Names of the events that the scripts append; a run's end is told as `'run.' .. state`."""
    subjects = "run|signal|stage|message|consumer|letters?|queue|tenant"
    told: set[str] = set()
    for script in (ROOT / "engine/store/lua").rglob("*.lua"):
        text = script.read_text()
        told |= set(re.findall(rf"'((?:{subjects})\.[a-z]+)[ ']", text))
        told |= {f"run.{state}" for state in re.findall(r"end_run\(now, \w+, '(\w+)'", text)}
    return told


def test_every_event_that_a_script_tells_is_on_the_page_of_states() -> None:
    text = (ROOT / "docs/state_machine.md").read_text()
    for event in told_by_scripts():
        assert f"`{event}`" in text, event


def test_the_names_of_events_are_those_that_the_scripts_tell() -> None:
    assert set(EventName) == told_by_scripts()


def test_every_reason_of_a_dead_letter_is_on_the_page_of_states() -> None:
    text = (ROOT / "docs/state_machine.md").read_text()
    sources = [*(ROOT / "engine/broker").glob("*.py"), *(ROOT / "engine/execution").glob("*.py")]
    written = "".join(path.read_text() for path in sources)
    for reason in re.findall(r'(?:Dead\(|_die\(\w+, |reason=|sick = \()"(\w+)"', written):
        assert f"`{reason}`" in text, reason
    walked = (ROOT / "engine/workflow/transitions.py").read_text()
    for reason in re.findall(r'"([a-z]+_(?:missed|failed|exhausted))"', walked):
        assert f"`{reason}`" in text, reason
