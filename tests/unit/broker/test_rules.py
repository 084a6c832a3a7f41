from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from engine.broker.rules import Rules
from engine.config import Settings
from engine.store.entries import Delivery

SETTINGS = Settings(
    queues={
        "calm": {"stall_after": "60s", "priority": "low"},
        "quick": {"stall_after": "4s", "max_wait": "5s", "priority": "high"},
        "few": {"local_concurrency": 3},
    }
)
RULES = Rules(SETTINGS.policy)


def delivery(queue: str, due_at_ms: int) -> Delivery:
    return Delivery("m", 1, "d", 1, due_at_ms, queue, "t", b"", None)


def test_a_process_may_be_silent_as_long_as_its_most_patient_queue_says() -> None:
    assert RULES.silence_ms(["quick", "calm"]) == 60_000
    assert RULES.silence_ms(["quick"]) == 4_000
    assert RULES.silence_ms(["any", "quick"]) == 10_000
    assert RULES.silence_ms([]) == 10_000


def test_a_message_is_overdue_beyond_the_wait_of_its_queue_and_not_at_it() -> None:
    assert RULES.overdue(delivery("quick", 1_000), 6_000) is None
    assert "5,001 ms" in (RULES.overdue(delivery("quick", 1_000), 6_001) or "")
    assert RULES.overdue(delivery("calm", 0), 10**12) is None


def holds(**queues: int) -> Callable[[], Counter[str]]:
    return lambda: Counter(queues)


def test_higher_classes_come_first_and_the_lowest_gets_a_share() -> None:
    assert RULES.shares(["calm", "quick"], 10, holds()) == [("quick", 8), ("calm", 2)]
    assert RULES.shares(["calm"], 10, holds()) == [("calm", 10)]


def test_a_queue_gives_no_more_than_the_process_may_run_of_it() -> None:
    assert RULES.shares(["few"], 10, holds(few=1)) == [("few", -2)]
    assert RULES.shares(["few"], 1, holds(few=1)) == [("few", -1)]
    assert RULES.shares(["few", "any"], 10, holds(few=2)) == [("few", -1), ("any", 5)]


def test_a_queue_that_gave_all_is_closed_and_nobody_counts_where_no_queue_has_a_cap() -> None:
    assert RULES.open(["few", "any"], holds(few=2)) == ["few", "any"]
    assert RULES.open(["few", "any"], holds(few=3, any=9)) == ["any"]

    def counted() -> Counter[str]:
        raise AssertionError

    assert RULES.open(["calm", "any"], counted) == ["calm", "any"]
    assert RULES.shares(["any"], 4, counted) == [("any", 4)]
