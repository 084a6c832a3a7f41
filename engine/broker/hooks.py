"""Calling middleware: only the hooks that it overrides, found once and not at every message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq.middleware import Middleware

Hook = Callable[..., Any]


class Hooks:
    """The overridden hooks of a list of middleware, by signal."""

    def __init__(self) -> None:
        self._of: list[Middleware] = []
        self._known: dict[str, list[tuple[Middleware, Hook]]] = {}

    def named(self, middleware: list[Middleware], name: str) -> list[tuple[Middleware, Hook]]:
        """The hooks called `name`, in the order of `middleware`; the list may change any time."""
        if middleware != self._of:
            self._of = list(middleware)
            self._known = {}
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = [
                (m, getattr(m, name)) for m in middleware if _overrides(m, name)
            ]
        return found


def _overrides(middleware: Middleware, name: str) -> bool:
    own = getattr(type(middleware), name, None)
    return name in vars(middleware) or own is not getattr(Middleware, name, None)
