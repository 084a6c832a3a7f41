"""Every definition of this process by its name.

Owns: stages, pipelines and deciders, and who holds a name. Must not: bind them to anything.

A definition made again from the same place in the source (a module reloaded, a test run twice, a
module imported both as `__main__` and by name) replaces the old one; from another place it is a
DuplicateName.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from engine.errors import DuplicateName, UnknownCase, UnknownName, UnknownPipeline, UnknownStage

if TYPE_CHECKING:
    from engine.workflow.decider import Decider
    from engine.workflow.pipeline import Pipeline
    from engine.workflow.stage import Stage


class Origin(NamedTuple):
    """Where a definition stands in the source."""

    module: str
    qualname: str
    file: str

    def same_place(self, other: Origin) -> bool:
        """Say whether both are the same spot, possibly imported under two module names."""
        return self.qualname == other.qualname and (
            self.module == other.module or (self.file == other.file and bool(self.file))
        )


def origin_of(fn: Any) -> Origin:
    """Return where a function stands in the source."""
    code = getattr(fn, "__code__", None)
    file = getattr(code, "co_filename", "")
    return Origin(getattr(fn, "__module__", "") or "", getattr(fn, "__qualname__", ""), file)


class Definition(Protocol):
    """What the registry asks of its entries."""

    name: str
    origin: Origin


D = TypeVar("D", bound=Definition)


class Registry:
    """Definitions by name; safe to use from several threads."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage[..., Any]] = {}
        self.pipelines: dict[str, Pipeline] = {}
        self.deciders: dict[str, Decider] = {}
        self._lock = threading.Lock()

    def copy(self) -> Registry:
        """Return a registry of its own with the same definitions."""
        copied = Registry()
        with self._lock:
            copied.stages.update(self.stages)
            copied.pipelines.update(self.pipelines)
            copied.deciders.update(self.deciders)
        return copied

    def add_stage(self, stage: Stage[..., Any]) -> None:
        """Take in a stage; raises DuplicateName."""
        self._add("stage", self.stages, stage)

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Take in a pipeline; raises DuplicateName."""
        self._add("pipeline", self.pipelines, pipeline)

    def add_decider(self, decider: Decider) -> None:
        """Take in the deciding function of a choose; raises DuplicateName."""
        self._add("decider", self.deciders, decider)

    def stage(self, name: str) -> Stage[..., Any]:
        """Return a stage by name; raises UnknownStage."""
        return _found(name, self.stages, UnknownStage)

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by name; raises UnknownPipeline."""
        return _found(name, self.pipelines, UnknownPipeline)

    def decider(self, name: str) -> Decider:
        """Return a decider by name; raises UnknownCase."""
        return _found(name, self.deciders, UnknownCase)

    def decide(self, name: str, value: bytes) -> str:
        """Run a decider on a JSON value and return the case it names."""
        return self.decider(name).decide(value)

    def _add(self, kind: str, held: dict[str, D], new: D) -> None:
        with self._lock:
            old = held.get(new.name)
            if old is not None and not old.origin.same_place(new.origin):
                raise DuplicateName(kind, new.name, _spot(old.origin), _spot(new.origin))
            held[new.name] = new


def _spot(origin: Origin) -> str:
    return f"{origin.module}.{origin.qualname}".rstrip(".")


def _found(name: str, held: dict[str, D], error: type[UnknownName]) -> D:
    found = held.get(name)
    if found is None:
        raise error(name, held)
    return found


class _Place:
    """The one place where the registry in use stands."""

    def __init__(self) -> None:
        self.registry = Registry()


_place = _Place()


def current() -> Registry:
    """Return the registry that definitions go to."""
    return _place.registry


@contextmanager
def isolated(registry: Registry | None = None) -> Generator[Registry, None, None]:
    """Send definitions to a registry of their own within a `with` block, for all threads."""
    before = _place.registry
    _place.registry = registry or Registry()
    try:
        yield _place.registry
    finally:
        _place.registry = before
