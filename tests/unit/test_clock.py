from __future__ import annotations

from datetime import timedelta

import pytest

from engine.clock import ManualClock, SystemClock, duration_ms
from engine.errors import InvalidDuration


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("250ms", 250),
        ("15s", 15_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("1h30m", 5_400_000),
        ("1.5s", 1_500),
        ("2w", 1_209_600_000),
        ("42", 42),
        (1_000, 1_000),
        (0, 0),
        (timedelta(minutes=2), 120_000),
    ],
)
def test_a_duration_is_read_as_people_write_it(value, expected: int) -> None:
    assert duration_ms(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5 m",
        "soon",
        "-5s",
        "5s!",
        -1,
        True,
        None,
        float("nan"),
        float("inf"),
        "9" * 30,
        "10000w",
        timedelta(seconds=-1),
        "٣s",
        [],
    ],
)
def test_anything_else_is_a_named_error_that_shows_the_value(value) -> None:
    with pytest.raises(InvalidDuration) as caught:
        duration_ms(value, name="timeout")
    assert "timeout=" in str(caught.value)
    assert "'15s'" in str(caught.value)


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(now_ms=1_000)
    clock.advance("2s")
    clock.step(-500)
    assert (clock.now_ms(), clock.monotonic_ms()) == (2_500, 2_000)


def test_the_system_clock_tells_milliseconds() -> None:
    clock = SystemClock()
    assert clock.now_ms() > 1_700_000_000_000
    assert clock.monotonic_ms() <= clock.monotonic_ms()
