"""Stock Results on both brokers: values, failures, pipelines, and what is not there yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.results import ResultFailure, ResultMissing, Results, ResultTimeout

from tests.contract.conftest import running


@pytest.fixture
def storing(make: Callable[..., Any], results: Any) -> Any:
    """The broker under test with Results."""
    return make(extra=[Results(backend=results)])


def test_a_result_can_be_read_from_the_message(storing: Any) -> None:
    @dramatiq.actor(store_results=True)
    def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    with running(storing):
        assert add.send(1, 2).get_result(block=True, timeout=5_000) == {"sum": 3}


def test_a_failure_is_a_result_once_retries_are_used_up(storing: Any) -> None:
    tries: list[int] = []

    @dramatiq.actor(store_results=True, max_retries=1, min_backoff=10, max_backoff=10)
    def fail() -> None:
        tries.append(1)
        raise ValueError("no good")

    with running(storing):
        sent = fail.send()
        with pytest.raises(ResultFailure, match="ValueError: no good"):
            sent.get_result(block=True, timeout=5_000)
    assert len(tries) == 2


def test_a_result_of_a_delayed_message_comes_later(storing: Any) -> None:
    @dramatiq.actor(store_results=True)
    def answer() -> int:
        return 42

    with running(storing):
        sent = answer.send_with_options(delay=300)
        with pytest.raises(ResultMissing):
            sent.get_result()
        with pytest.raises(ResultTimeout):
            sent.get_result(block=True, timeout=50)
        assert sent.get_result(block=True, timeout=5_000) == 42


def test_every_result_of_a_pipeline_can_be_read(storing: Any) -> None:
    @dramatiq.actor(store_results=True)
    def add(a: int, b: int) -> int:
        return a + b

    with running(storing):
        pipe = (add.message(1, 2) | add.message(3) | add.message(4)).run()
        assert pipe.get_result(block=True, timeout=5_000) == 10
        assert list(pipe.get_results()) == [3, 6, 10]
        assert pipe.completed
