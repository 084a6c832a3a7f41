from __future__ import annotations

from engine.control.backoff import Backoff


def test_the_wait_doubles_from_half_a_second_to_half_a_minute() -> None:
    backoff = Backoff()
    waits = [backoff.after_death(lived_ms=100) for _ in range(9)]
    assert waits == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]


def test_a_minute_of_health_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after_death(lived_ms=0)
    assert backoff.after_death(lived_ms=60_000) == 500
    assert backoff.after_death(lived_ms=59_999) == 1_000
