"""The current engine: what a definition talks to without knowing how an engine is built.

Owns: the `Engine` protocol and the one process-wide reference. Must not: import anything above the
ground at run time. The protocol names types of `engine.workflow` for the type checker alone, and
the real engine satisfies it by shape.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from engine.errors import NoEngine

if TYPE_CHECKING:
    from engine.workflow.pipeline import Pipeline
    from engine.workflow.run import Run, RunState, RunView
    from engine.workflow.stage import Stage
    from engine.workflow.start import Start

    Definition: TypeAlias = Pipeline | Stage[..., Any]


class Engine(Protocol):
    """What stages, pipelines and run handles ask of an engine."""

    def bind(self, definition: Definition) -> None:
        """Take note of a new or replaced definition. Idempotent, does no I/O."""
        ...

    def start(
        self,
        definition: Definition,
        payload: bytes,
        *,
        tenant: str,
        key: str | None,
        delay_ms: int,
        priority: int | None,
        attributes: tuple[str, ...] = (),
    ) -> Run:
        """Start one run and return its `Run`; a repeated key returns the first run's handle."""
        ...

    def start_many(self, definition: Definition, starts: Sequence[Start]) -> list[Run]:
        """Start runs in bulk; the handles come in the order of `starts`."""
        ...

    async def astart(
        self,
        definition: Definition,
        payload: bytes,
        *,
        tenant: str,
        key: str | None,
        delay_ms: int,
        priority: int | None,
        attributes: tuple[str, ...] = (),
    ) -> Run:
        """Start one run without blocking the event loop."""
        ...

    def view(self, run_id: str) -> RunView:
        """Return the `RunView`; raises RunNotFound."""
        ...

    def wait(self, run_id: str, timeout_ms: int) -> RunState:
        """Wait up to `timeout_ms` for the end; return the `RunState` then, ended or not."""
        ...

    def result(self, run_id: str) -> bytes:
        """Return the result of a completed run; raises RunFailed, RunCancelled, RunNotFound."""
        ...

    async def await_result(self, run_id: str) -> bytes:
        """Wait for the end without blocking the event loop; result and errors as `result`."""
        ...

    def cancel(self, run_id: str, *, undo: bool = False) -> bool:
        """Cancel a run; False if it had ended before. With `undo`, undo what it did."""
        ...

    def signal(self, run_id: str, name: str, value: bytes, *, once: str | None = None) -> bool:
        """Send a JSON value to a run; False if `once` has done so before."""
        ...

    def pause(self, run_id: str) -> bool:
        """Hold a run; False if it was held."""
        ...

    def resume(self, run_id: str) -> bool:
        """Let a held run go on; False if it was not held."""
        ...


Factory = Callable[[], Engine]


class _Place:
    """The one place where the current engine stands."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.engine: Engine | None = None
        self.factory: Factory | None = None
        self.creating = False

    def engine_or_created(self) -> Engine | None:
        if self.engine is not None:
            return self.engine
        with self.lock:
            # Another thread may have been first; and a factory that makes definitions of its own
            # must not build a second engine.
            if peek() is None and self.factory is not None and not self.creating:
                self.creating = True
                try:
                    self.engine = self.factory()
                finally:
                    self.creating = False
            return self.engine


_place = _Place()


def get() -> Engine:
    """Return the current engine, building the default one if a factory is set.

    Raises:
        NoEngine: there is neither an engine nor a factory.
    """
    engine = _place.engine_or_created()
    if engine is None:
        raise NoEngine
    return engine


def peek() -> Engine | None:
    """Return the current engine, or None; never builds one."""
    return _place.engine


def set(engine: Engine | None) -> None:  # noqa: A001 - reads as current.set(engine)
    """Make `engine` current for the whole process; None leaves the place empty."""
    with _place.lock:
        _place.engine = engine


@contextmanager
def use(engine: Engine | None) -> Generator[Engine | None, None, None]:
    """Make `engine` current within a `with` block, for all threads, and put the old one back."""
    before = peek()
    set(engine)
    try:
        yield engine
    finally:
        set(before)


def on_missing(factory: Factory | None) -> None:
    """Set what builds the default engine when one is first needed; None forgets it."""
    with _place.lock:
        _place.factory = factory


def announce(definition: Definition) -> None:
    """Tell the current engine about a new definition, building the default engine if possible.

    Without an engine and without a factory nothing happens: an engine built later finds the
    definition in the registry.
    """
    engine = _place.engine_or_created()
    if engine is not None:
        engine.bind(definition)
