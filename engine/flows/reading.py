"""From YAML or JSON text to plain data, whatever the text is.

Owns: the bounds of a text and of its nesting. Must not: know what a flow is. YAML is read by a safe
loader of the core schema: no tags, no anchors or aliases (a few bytes of them make a gigabyte), no
repeated keys, no dates, and `on` is a word.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import ExtraMissing, FlowInvalid, FlowProblem
from engine.flows.shapes import MAX_DOCUMENT_BYTES

MAX_TEXT_DEPTH = 200

_OPENS = ("MappingStartEvent", "SequenceStartEvent")
_CLOSES = ("MappingEndEvent", "SequenceEndEvent")
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}


class _Unreadable(Exception):
    """The text is no document; the words say why and where."""


def read_file(path: str | Path) -> Any:
    """Return the plain data of a file; raises FlowInvalid, OSError."""
    path = Path(path)
    with path.open("rb") as file:
        raw = file.read(MAX_DOCUMENT_BYTES + 1)
    return read_text(raw, str(path), is_json=path.suffix.lower() == ".json")


def read_text(text: str | bytes, source: str = "", *, is_json: bool | None = None) -> Any:
    """Return the plain data of a text.

    Args:
        text: JSON or YAML, at most 256 KiB.
        source: what errors call it.
        is_json: None takes what begins with a brace for JSON.

    Raises:
        FlowInvalid: it is too large, neither of the two, or nested deeper than 200.
        ExtraMissing: it is YAML, and its library is not installed.
    """
    try:
        plain = _decoded(text)
        if is_json is None:
            is_json = plain.lstrip()[:1] == "{"
        found = _from_json(plain) if is_json else _from_yaml(plain)
        _check_depth(found)
    except _Unreadable as error:
        raise FlowInvalid([FlowProblem("", str(error))], source) from None
    return found


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(MAX_TEXT_DEPTH):
        holders = [part for part in level if isinstance(part, (dict, list))]
        if not holders:
            return
        level = [
            inner
            for part in holders
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
    raise _Unreadable(f"it is nested deeper than {MAX_TEXT_DEPTH}")


def _decoded(text: str | bytes) -> str:
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > MAX_DOCUMENT_BYTES:
            raise _Unreadable(f"it has more than {MAX_DOCUMENT_BYTES:,} bytes")
        return raw.decode()
    except UnicodeError:
        raise _Unreadable("it is not UTF-8") from None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _Unreadable(f"it is no JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise _Unreadable(f"it is nested deeper than {MAX_TEXT_DEPTH}") from None
    except ValueError as error:  # a number of thousands of digits
        raise _Unreadable(f"it is no JSON: {str(error)[:80]}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Unreadable(f"the key {name[:80]!r} is there twice")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise _Unreadable(f"it is no JSON: {name} is no number")


def _from_yaml(text: str) -> Any:
    try:
        yaml = import_module("yaml")
    except ModuleNotFoundError:
        raise ExtraMissing("flows", "YAML") from None
    try:
        _check_events(yaml, text)
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise _Unreadable(f"it is no YAML: {_complaint(error)}") from None
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"it is no YAML: {str(error)[:80]}") from None


def _check_events(yaml: Any, text: str) -> None:
    """Walk the text without building anything, so that nothing large is ever built."""
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        kind = type(event).__name__
        line = event.start_mark.line + 1
        if kind == "AliasEvent" or getattr(event, "anchor", None):
            raise _Unreadable(f"it has an anchor or alias in line {line}; write the value out")
        if getattr(event, "tag", None):
            raise _Unreadable(f"it has a tag in line {line}; tags are not read")
        depth += (kind in _OPENS) - (kind in _CLOSES)
        if depth > MAX_TEXT_DEPTH:
            raise _Unreadable(f"it is nested deeper than {MAX_TEXT_DEPTH} in line {line}")


def _complaint(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}"


@cache
def _loader() -> Any:
    yaml = import_module("yaml")

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                name = self.construct_object(key, deep=True)
                if not isinstance(name, str):
                    raise _Unreadable(f"the key {str(name)[:80]!r} is not text; quote it")
                if name in seen:
                    raise _Unreadable(f"the key {name[:80]!r} is there twice")
                seen.add(name)
            return super().construct_mapping(node, deep)

    for kind, (pattern, first) in _SCALARS.items():
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), first
        )
    return Loader
