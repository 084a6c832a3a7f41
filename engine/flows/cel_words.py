"""A CEL expression as words: which paths it reads, and what it can cost at most.

Owns: the look at the text that the CEL library does not offer. Must not: evaluate; a mistake in the
text is the library's to find.

Cost. Without a macro, each operator of an expression works on values that are paths, literals or
parts of both, so that none of them handles more than O, the units of all paths together, plus one a
word. A macro (`all`, `exists`, `exists_one`, `filter`; none inside another, and `map` is not
offered) runs its body for no more than N = O + words elements, each time on the units I of the
paths in its body and on its own element, whose units add up to N over all of them. So an expression
costs at most words x (O + N x (1 + I + mentions of the element)).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.flows.cost import Refused

Path = tuple[str, ...]
Units = Callable[[Path, int], int]
"""(path, limit) -> units of the value there; raises TooCostly over the limit."""

MACROS = ("all", "exists", "exists_one", "filter")
_TYPES = ("int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type")
_LITERALS = ("true", "false", "null", "in", *_TYPES)
_WORD = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>[bBrR]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>\d[\w.]*)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class Words:
    """What the text says.

    Attributes:
        count: of words.
        outside: paths read outside macros.
        inside: paths read in the bodies of macros.
        mentions: how often a macro's element is named.
        macros: whether there is one.
    """

    count: int = 0
    outside: list[Path] = field(default_factory=list[Path])
    inside: list[Path] = field(default_factory=list[Path])
    mentions: int = 0
    macros: bool = False

    def most_units(self, units: Units, limit: int) -> int:
        """Return what an evaluation can cost at most.

        Raises:
            TooCostly: it is certain to be more than the limit; no more than that was measured.
        """
        outside = _sum(self.outside, units, limit // max(self.count, 1))
        if not self.macros:
            return self.count * (outside + self.count)
        inside = _sum(self.inside, units, limit // max(self.count, 1))
        elements = outside + self.count
        return self.count * (outside + elements * (1 + inside + self.mentions))


def _sum(paths: list[Path], units: Units, limit: int) -> int:
    total = 0
    for path in paths:
        total += units(path, limit - total)
    return total


def words_of(text: str) -> Words:
    """Return what a text says; raises Refused for a macro that is not offered here."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        found = ((str(match.lastgroup), match.group()) for match in _WORD.finditer(text))
        self.words = [(kind, word) for kind, word in found if kind != "space"]
        self.found = Words(count=len(self.words))
        self.element = ""
        self.closes_at = -1

    def read(self) -> Words:
        at = 0
        while at < len(self.words):
            if at == self.closes_at:
                self.element, self.closes_at = "", -1
            at = self._read_name(at) if self.words[at][0] == "name" else at + 1
        return self.found

    def _read_name(self, at: int) -> int:
        name, after_dot = self.words[at][1], self._is(at - 1, ".")
        if self._is(at + 1, "("):
            if after_dot and name in (*MACROS, "map"):
                return self._open_macro(name, at)
            return at + 1
        if after_dot or name in _LITERALS:
            return at + 1
        if name == self.element:
            self.found.mentions += 1
            return at + 1
        path, at = self._path(at)
        (self.found.inside if self.element else self.found.outside).append(path)
        return at

    def _open_macro(self, name: str, at: int) -> int:
        if name == "map":
            raise Refused("uses the macro 'map'; build lists with JMESPath, as in value[*].name")
        if self.element:
            raise Refused(f"uses the macro {name!r} inside another; one level is the limit")
        self.found.macros = True
        kind, element = self.words[at + 2] if at + 2 < len(self.words) else ("", "")
        if kind == "name":
            self.element, self.closes_at = element, self._closing(at + 1)
        return at + 3  # behind the parenthesis and the element's name

    def _closing(self, opened: int) -> int:
        depth = 0
        for at in range(opened, len(self.words)):
            if self._is(at, "("):
                depth += 1
            elif self._is(at, ")"):
                depth -= 1
                if depth == 0:
                    return at
        return len(self.words)

    def _path(self, at: int) -> tuple[Path, int]:
        path = [self.words[at][1]]
        at += 1
        while (step := self._step(at)) is not None:
            name, at = step
            path.append(name)
        return tuple(path), at

    def _step(self, at: int) -> tuple[str, int] | None:
        """Return the name of `.name` or `["name"]` that stands here, and where it ends."""
        if self._is(at, ".") and self._kind(at + 1) == "name" and not self._is(at + 2, "("):
            return self.words[at + 1][1], at + 2
        if self._is(at, "[") and self._kind(at + 1) == "text" and self._is(at + 2, "]"):
            name = _plain_text(self.words[at + 1][1])
            return None if name is None else (name, at + 3)
        return None

    def _kind(self, at: int) -> str:
        return self.words[at][0] if 0 <= at < len(self.words) else ""

    def _is(self, at: int, mark: str) -> bool:
        return 0 <= at < len(self.words) and self.words[at] == ("mark", mark)


def _plain_text(literal: str) -> str | None:
    """Return the text of a simple literal; None for one with a prefix or an escape."""
    if literal[0] not in "\"'" or "\\" in literal:
        return None
    found = ast.literal_eval(literal)
    return found if isinstance(found, str) else None
