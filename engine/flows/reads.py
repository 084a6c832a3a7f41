"""What an expression reads: the names that mean something in it.

Owns: the names and what reading them says. Must not: know a language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.errors import nearest
from engine.flows.cost import Refused

VALUE = "value"
INPUT = "input"
CONTEXT = "context"
STEPS = "steps"
OUTPUT = "output"
NAMES = (VALUE, INPUT, CONTEXT, STEPS)


class Reads(NamedTuple):
    """The names that an expression begins with, and the ids of the steps it asks."""

    names: frozenset[str]
    steps: frozenset[str]


NOTHING = Reads(frozenset(), frozenset())


def reads_of(paths: Sequence[Sequence[str]]) -> Reads:
    """Return what paths such as ("steps", "parse", "output", "repo") read.

    Raises:
        Refused: a path begins with none of the names, or asks for more or less than an output.
    """
    steps: set[str] = set()
    for path in paths:
        if path[0] not in NAMES:
            known = ", ".join(NAMES)
            raise Refused(f"reads {path[0]!r}, which is none of {known}", nearest(path[0], NAMES))
        if path[0] != STEPS:
            continue
        if len(path) < 3 or path[2] != OUTPUT:
            near = nearest(path[2], [OUTPUT]) if len(path) > 2 else ""
            raise Refused("reads 'steps' as a whole; ask one as steps.<id>.output", near)
        steps.add(path[1])
    return Reads(frozenset(path[0] for path in paths), frozenset(steps))
