"""The ledger of side effects: one line for each time that a stage really did its work.

Owns: the line and its file. A line is written by one `write` to a file opened with O_APPEND, so
lines of several processes never mix and a killed process leaves whole lines.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Effect(NamedTuple):
    """One side effect. `token` is the delivery that caused it; 0 for a plain message."""

    run: str
    stage: str
    item: str
    token: int
    pid: int
    at_ms: int


class Ledger:
    """Appends and reads effects. Safe to use over a fork."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = -1
        self._pid = 0

    def write(self, run: str, stage: str, item: object, token: int, at_ms: int) -> None:
        """Note one effect of this process."""
        if self._pid != os.getpid():
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._pid = os.getpid()
        os.write(self._file, f"{run} {stage} {item} {token} {self._pid} {at_ms}\n".encode())

    def read(self) -> list[Effect]:
        """Give all effects in the order of their writing."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text().splitlines():
            run, stage, item, token, pid, at_ms = line.split(" ")
            found.append(Effect(run, stage, item, int(token), int(pid), int(at_ms)))
        return found

    def of(self, stage: str) -> list[Effect]:
        """Give the effects of one stage."""
        return [effect for effect in self.read() if effect.stage == stage]
