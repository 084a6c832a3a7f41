"""The list of upstream tests left out: complete in the docs, and each stand-in exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.contract.exceptions import LEFT_OUT, Left, table

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "conformance.md"


def test_the_docs_show_the_list_as_it_is() -> None:
    assert table() in PAGE.read_text(), "write docs/conformance.md anew from exceptions.table()"


def test_no_test_is_listed_twice() -> None:
    names = [one.test for one in LEFT_OUT]
    assert len(names) == len(set(names))


def _exists(one: Left) -> bool:
    file, _, function = one.instead.partition("::")
    return re.search(rf"^def {function}\(", (HERE / file).read_text(), re.MULTILINE) is not None


def test_every_stand_in_exists() -> None:
    missing = [one.instead for one in LEFT_OUT if one.instead and not _exists(one)]
    assert missing == []
