from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Retry
from engine.errors import InvalidDuration, OptionInvalid


def test_attempts_count_all_tries_and_delays_double() -> None:
    assert Retry(attempts=5, base="2s", jitter=0).table_ms() == (2_000, 4_000, 8_000, 16_000)
    assert Retry(attempts=1).table_ms() == ()
    assert Retry(attempts=3, base="10s", factor=1, jitter=0).table_ms() == (10_000, 10_000)


def test_a_delay_is_capped_before_jitter() -> None:
    retry = Retry(attempts=9, base="5s", max="300s")
    assert retry.table_ms()[-2:] == (300_000, 300_000)
    assert retry.delay_ms(8, lambda: 0.999999) == 375_000
    assert Retry(attempts=1000, factor=1000, max="1h").table_ms()[-1] == 3_600_000


def test_no_delay_is_left_after_the_last_try() -> None:
    retry = Retry(attempts=2, jitter=0)
    assert [retry.delay_ms(failed, random.random) for failed in (1, 2, 3)] == [5_000, None, None]


@given(failed=st.integers(1, 49), jitter=st.floats(0, 1), seed=st.integers())
def test_jitter_stays_within_its_share(failed: int, jitter: float, seed: int) -> None:
    retry = Retry(attempts=50, jitter=jitter)
    plain = retry.table_ms()[failed - 1]
    delay = retry.delay_ms(failed, random.Random(seed).random)
    assert delay is not None
    assert abs(delay - plain) <= plain * jitter + 1


def test_only_covered_errors_are_tried_again() -> None:
    retry = Retry(on=OSError, give_up_on=(FileNotFoundError,))
    assert retry.covers(ConnectionError())
    assert not retry.covers(FileNotFoundError())
    assert not retry.covers(ValueError())


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 1001},
        {"attempts": 2.0},
        {"factor": 0.5},
        {"jitter": 1.1},
        {"jitter": "x"},
        {"factor": float("nan")},
        {"on": ValueError()},
        {"give_up_on": ("x",)},
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionInvalid):
        Retry(**options)


def test_durations_are_checked() -> None:
    with pytest.raises(InvalidDuration, match="base="):
        Retry(base="soon")
