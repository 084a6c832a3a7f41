"""Watching a directory for changed Python files, during development."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import OptionInvalid

_LOOK_S = 1.0


class Watch:
    """Looks once a second and calls when a file was changed, added or removed. A context manager.

    Args:
        directory: What to watch; None watches nothing.
        changed: Called from a thread of its own.

    Raises:
        OptionInvalid: It is no directory.
    """

    def __init__(self, directory: Path | None, changed: Callable[[], None]) -> None:
        if directory is not None and not directory.is_dir():
            raise OptionInvalid("--watch", str(directory), "an existing directory")
        self._directory = directory
        self._changed = changed
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        if self._directory is not None:
            threading.Thread(target=self._look, args=(self._directory,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()

    def _look(self, directory: Path) -> None:
        before = stamps_of(directory)
        while not self._ended.wait(_LOOK_S):
            now = stamps_of(directory)
            if now != before:
                before = now
                self._changed()


def stamps_of(directory: Path) -> dict[Path, int]:
    """Returns when each Python file was last changed; hidden directories are left out."""
    found: dict[Path, int] = {}
    for path in directory.rglob("*.py"):
        inside = path.relative_to(directory).parts
        if any(part.startswith(".") or part in ("__pycache__", "node_modules") for part in inside):
            continue
        try:
            found[path] = path.stat().st_mtime_ns
        except OSError:
            continue  # removed between the listing and the look
    return found
