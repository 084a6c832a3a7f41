from __future__ import annotations

from typing import Any

import pytest

from engine import current
from engine.errors import NoEngine


class Recorder:
    def __init__(self) -> None:
        self.bound: list[Any] = []

    def bind(self, definition: Any) -> None:
        self.bound.append(definition)


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, and none of the factory that the library itself installs."""
    monkeypatch.setattr(current, "_place", current._Place())


def test_without_engine_and_factory_work_is_refused_by_name() -> None:
    with pytest.raises(NoEngine, match="build"):
        current.get()


def test_announcing_without_engine_does_nothing() -> None:
    current.announce("definition")


def test_the_factory_builds_one_engine_at_the_first_definition() -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        current.announce("made while the factory runs")
        return made[-1]

    current.on_missing(factory)
    assert current.peek() is None
    current.announce("first")
    current.announce("second")
    (engine,) = made
    assert engine.bound == ["first", "second"]
    assert current.get() is engine


def test_use_puts_the_old_engine_back() -> None:
    outer, inner = Recorder(), Recorder()
    with current.use(outer):
        with current.use(inner):
            assert current.get() is inner
        with pytest.raises(RuntimeError), current.use(inner):
            raise RuntimeError
        assert current.get() is outer
