"""The pages as tests read them: prose without examples, examples, tables, headings."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def shown(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def python_examples(page: Path) -> list[str]:
    return _PYTHON.findall(page.read_text())


def code(page: Path) -> list[str]:
    """What a page shows as code, in its sentences and in its blocks, a line each."""
    blocks = _FENCED.findall(page.read_text())
    return [
        *re.findall(r"`([^`\n]+)`", prose(page)),
        *(line for block in blocks for line in block.splitlines()),
    ]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(page))
    return {heading.replace(" ", "-") for heading in kept}


def rows(page: str, heading: str | None = None) -> list[list[str]]:
    """The cells of all table rows of a page, or of one of its sections, without backticks."""
    text = (ROOT / page).read_text()
    if heading is not None:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^#+ ", text, flags=re.MULTILINE)[0]
    lines = [line.replace("`", "") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def table(page: str, heading: str | None = None) -> dict[str, list[str]]:
    """The rows by their first cell."""
    return {cells[0]: cells for cells in rows(page, heading)}
