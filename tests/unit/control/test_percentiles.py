from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.control.percentiles import Durations


def durations(values: list[int]) -> Durations:
    made = Durations()
    for value in values:
        made.add(value)
    return made


def test_nothing_took_no_time() -> None:
    assert Durations().percentile(0.5) == 0


def test_short_durations_are_exact() -> None:
    made = durations(list(range(1, 41)))
    assert (made.percentile(0.5), made.percentile(0.95), made.count) == (20, 38, 40)


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_at_most_two_percent_off(values: list[int], share: float) -> None:
    wanted = sorted(values)[max(0, -(-int(share * 1000) * len(values) // 1000) - 1)]
    assert durations(values).percentile(share) == pytest.approx(wanted, rel=0.02, abs=1)
