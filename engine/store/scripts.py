"""The Lua scripts: one command a file, assembled from includes, the header as its contract.

The room owns reading and assembling; it never talks to a server. `tests/architecture` holds every
header against the wrapper in `commands.py`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from engine.errors import OptionInvalid
from engine.store.keys import lua_spelled

# A constant, or a function on one line or more, of an include or a script, in its first column.
_DEFINED = re.compile(
    r"^local ([A-Z_]+) = .*\n|^(?:local )?function ([\w.]+)\((?:.* end\n|.*\n(?: .*\n)*end\n)",
    re.MULTILINE,
)
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)
_NEEDED = ("KEYS", "ARGV", "RETURNS", "ERRORS", "COST", "FLAGS")
_ROOT = files("engine.store") / "lua"

EVENTS_KEPT = 100_000
"""Entries of the event stream that are kept where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Script:
    """One command as the server runs it.

    Attributes:
        name: File name without its ending.
        source: Complete Lua, shebang first.
        sha: SHA-1 that EVALSHA takes.
        header: The parts of the header, by their names in capitals.
    """

    name: str
    source: bytes
    sha: bytes
    header: dict[str, str]

    @property
    def flags(self) -> str:
        """Flags of the shebang, such as `allow-oom`; empty for none."""
        flags = self.header["FLAGS"]
        return "" if flags == "-" else flags


def header_of(text: str) -> dict[str, str]:
    """The header's parts; a part may go on over several comment lines."""
    parts: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.startswith("--") or line.startswith("-- include:"):
            break
        words = line[3:].strip()
        name = words.split(" ", 1)[0]
        if name in _NEEDED:
            last = name
            parts[name] = words[len(name) :].strip()
        elif last:
            parts[last] += " " + words
        else:
            parts["SUMMARY"] = words
    return parts


def names() -> list[str]:
    """Names of all scripts, sorted."""
    return sorted(
        entry.name.removesuffix(".lua") for entry in _ROOT.iterdir() if entry.name.endswith(".lua")
    )


@cache
def load(name: str, *, shifted_clock: bool = False, events_kept: int = EVENTS_KEPT) -> Script:
    """Assembles a script.

    Args:
        name: The file's name without `.lua`.
        shifted_clock: Test build: the clock include is replaced by one that a test can move.
        events_kept: Entries that the event stream keeps, about. It becomes part of the source, so
            that no call has to carry or read it.

    Raises:
        OptionInvalid: `events_kept` is no number above 0; nothing else may enter a script.
    """
    if type(events_kept) is not int or events_kept < 1:
        raise OptionInvalid("event_stream_length", events_kept, "a whole number above 0")
    text = (_ROOT / f"{name}.lua").read_text()
    header = header_of(text)

    def include(match: re.Match[str]) -> str:
        room = match.group(1)
        if room == "clock" and shifted_clock:
            room = "clock_shifted"
        return (_ROOT / "include" / f"{room}.lua").read_text()

    body = _INCLUDE.sub(include, text)
    body = "".join(f"{line}\n" for line in body.splitlines() if line and not line.startswith("--"))
    body = body.replace("{events_kept}", str(events_kept))
    flags = header["FLAGS"]
    shebang = "#!lua" if flags == "-" else f"#!lua flags={flags}"
    source = f"{shebang}\n{lua_spelled(_with_room(_without_unused(body)))}".encode()
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, source, sha, header)


def _without_unused(body: str) -> str:
    """Leaves out what is defined and never named: each definition costs time at every call."""
    while True:
        unused = [found[0] for found in _DEFINED.finditer(body) if _is_unused(found, body)]
        if not unused:
            return body
        for definition in unused:
            body = body.replace(definition, "")


def _is_unused(found: re.Match[str], body: str) -> bool:
    named = re.compile(rf"\b{re.escape(found[1] or found[2])}\b")
    return len(named.findall(body)) == len(named.findall(found[0]))


def _with_room(body: str) -> str:
    """Makes the includes' tables as large as what is put into them: growing step by step costs."""

    def roomy(table: re.Match[str]) -> str:
        fields = re.findall(
            rf"^(?:function {table[1]}\.(\w+)\(|{table[1]}\.(\w+) = )", body, re.MULTILINE
        )
        names = dict.fromkeys(made or given for made, given in fields)
        return table[0] + "".join(f"{name} = 0, " for name in names)

    return re.sub(r"^local (\w+) = \{(?=\}?$)", roomy, body, flags=re.MULTILINE)
