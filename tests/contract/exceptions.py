"""Every upstream test that the conformance run leaves out, with the reason.

Owns: the list. `docs/conformance.md` shows it, and `test_exceptions.py` checks that the two agree.
A test of the modules that conformance is judged by may be here only because it reads the stock
broker's inside: key layout, `do_*` commands, `maintenance_chance`, the dead-message set.
`test_actors` and `test_messages` are run beyond that, and their exceptions say why too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KEYS = "reads the stock key layout"
COMMANDS = "calls or replaces the stock broker's `do_*` commands"
MAINTENANCE = "sets `maintenance_chance` to force the stock broker's sweep"
DEAD_SET = "reads the stock dead-message set"
PRIVATE = "compares what a message shows of itself: ours never shows arguments, so logs hold none"
STUB = "reads the in-memory stub broker's inside; no Redis broker has it"


@dataclass(frozen=True, slots=True)
class Left:
    """One upstream test that is left out.

    Attributes:
        test: Module and function, as `test_redis::test_name`.
        reasons: Why, from the constants above.
        instead: Our own test of the same behaviour in public terms, `file::function`, or ""
            where the test is about the inside alone.
        brokers: `callboard` when the stock broker runs it, `both` when no Redis broker can.
    """

    test: str
    reasons: tuple[str, ...]
    instead: str = ""
    brokers: Literal["callboard", "both"] = "callboard"


LEFT_OUT: tuple[Left, ...] = (
    Left(
        "test_redis::test_redis_unacked_messages_can_be_requeued",
        (KEYS, COMMANDS, MAINTENANCE),
        "test_command.py::test_a_killed_workers_message_runs_again",
    ),
    Left(
        "test_redis::test_redis_messages_can_be_dead_lettered",
        (KEYS, DEAD_SET),
        "test_retries.py::test_a_message_is_tried_once_more_than_max_retries",
    ),
    Left(
        "test_redis::test_redis_dead_lettered_messages_are_cleaned_up",
        (KEYS, DEAD_SET, COMMANDS, MAINTENANCE),
    ),
    Left(
        "test_redis::test_redis_messages_belonging_to_missing_actors_are_rejected",
        (KEYS, DEAD_SET),
        "test_messages.py::test_a_message_for_an_unknown_actor_does_not_hold_up_the_queue",
    ),
    Left(
        "test_redis::test_redis_requeues_unhandled_messages_on_shutdown",
        (KEYS,),
        "test_shutdown.py::test_a_stopped_worker_gives_back_what_it_has_not_begun",
    ),
    Left(
        "test_redis::test_redis_requeues_unhandled_delay_messages_on_shutdown",
        (KEYS,),
        "test_shutdown.py::test_a_delayed_message_outlives_the_worker_that_saw_it",
    ),
    Left(
        "test_redis::test_redis_consumer_ack_can_retry_on_connection_error",
        (COMMANDS,),
    ),
    Left(
        "test_redis::test_redis_consumer_nack_can_retry_on_connection_error",
        (COMMANDS,),
    ),
    Left(
        "test_redis::test_redis_join_race_condition",
        (COMMANDS,),
        "test_delays.py::test_join_waits_for_what_a_message_sends_with_a_delay",
    ),
    Left("test_actors::test_actors_can_be_sent_messages", (STUB,), brokers="both"),
    Left(
        "test_actors::test_messages_belonging_to_missing_actors_are_rejected",
        (STUB,),
        "test_messages.py::test_a_message_for_an_unknown_actor_does_not_hold_up_the_queue",
        brokers="both",
    ),
    Left(
        "test_actors::test_worker_handles_non_numeric_eta_and_logs_warning", (STUB,), brokers="both"
    ),
    Left("test_actors::test_worker_handles_none_eta", (STUB,), brokers="both"),
    Left(
        "test_messages::test_messageproxy_representation",
        (PRIVATE,),
        "test_messages.py::test_a_message_in_a_log_shows_no_arguments",
    ),
)


def left_out(broker: str) -> dict[str, Left]:
    """Give the tests to leave out for a broker (`stock` or `callboard`), by test name."""
    return {one.test: one for one in LEFT_OUT if one.brokers in ("both", broker)}


def table() -> str:
    """Give the list as the Markdown table of `docs/conformance.md`."""
    head = (
        "| upstream test | why it is left out | our test of the same behaviour |\n|---|---|---|\n"
    )
    return head + "".join(_line(one) for one in LEFT_OUT)


def _line(one: Left) -> str:
    instead = f"`{one.instead}`" if one.instead else "-"
    return f"| `{one.test}` | {'; '.join(one.reasons)} | {instead} |\n"
