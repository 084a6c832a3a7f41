from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from engine import (
    Context,
    Idempotency,
    Pipeline,
    Retry,
    RunState,
    batch,
    each,
    first,
    gather,
    repeat,
    sleep,
    stage,
    wait_for,
)
from engine.errors import (
    IdempotentRunFailed,
    OptionInvalid,
    PayloadTooLarge,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunNotFound,
    WaitTimeout,
)
from engine.testing import InjectedFailure, InlineEngine, RunStuck


def test_nothing_runs_before_it_is_asked_for(callboard, parts) -> None:
    run = parts["first"].send(1)
    assert run.status() is RunState.RUNNING
    callboard.history(run).assert_never_began("first_part")
    assert run.result() == 2
    assert [view.state for view in run.view().stages] == ["done"]


def test_results_go_from_stage_to_stage_as_json(callboard, parts) -> None:
    seen = []

    @stage
    def look(pair: tuple[int, datetime]) -> int:
        seen.append(pair)
        return pair[0]

    @stage
    def moment(x: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    run = Pipeline("p", (parts["first"] & moment) | look).start(4)
    assert run.result() == 5
    assert seen == [(5, datetime(2026, 1, 1, tzinfo=UTC))]


def test_async_stages_run_with_and_without_a_running_loop(callboard) -> None:
    @stage
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    async def within() -> list[int]:
        run = await Pipeline("p", later | later).astart(1)
        return [await run, later.send(5).result()]

    assert later.send(1).result() == 2
    assert asyncio.run(within()) == [3, 6]


def test_a_task_can_signal_what_another_awaits(callboard) -> None:
    async def within() -> int:
        run = await Pipeline("p", wait_for("go", int)).astart(0)

        async def sends() -> None:
            run.signal("go", 3)

        result, _ = await asyncio.gather(run, sends())
        return result

    assert asyncio.run(within()) == 3


def test_the_context_tells_what_the_attempt_is(callboard, parts) -> None:
    run = Pipeline("p", parts["flaky"] | parts["told"]).start(1, tenant="acme")
    callboard.faults.fail("told", attempt=1)
    said = run.result()
    assert said == {
        "run": run.id,
        "tenant": "acme",
        "attempt": 2,
        "token": 3,
        "stage": "told",
        "earlier": {"flaky": 10},
    }
    assert callboard.history(run).progress("told") == (1, 2)


def test_a_dead_stage_fails_the_run_with_its_own_exception_behind_it(callboard) -> None:
    @stage(retry=Retry(attempts=1))
    def broken(x: int) -> int:
        raise LookupError("no such thing")

    run = broken.send(1)
    with pytest.raises(RunFailed, match="no such thing") as caught:
        run.result()
    assert isinstance(caught.value.__cause__, LookupError)
    callboard.history(run).assert_dead(broken, "attempts_exhausted")


def test_a_payload_that_does_not_fit_is_dead_at_once(callboard, parts) -> None:
    @stage
    def words(x: int):
        return "none"

    run = Pipeline("p", words | parts["flaky"]).start(1)
    callboard.run_until_idle()
    assert [letter.reason for letter in callboard.history(run).dead()] == ["payload_invalid"]
    callboard.history(run).assert_attempts("flaky", 1)


def test_a_payload_over_the_limit_is_refused(callboard, parts) -> None:
    @stage
    def long(x: int) -> str:
        return "x" * 300

    with InlineEngine(max_payload_bytes=200) as engine:
        with pytest.raises(PayloadTooLarge):
            parts["total"].send([1] * 200)
        run = long.send(1)
        engine.run_until_idle()
        engine.history(run).assert_dead("long", "payload_too_large")


def test_a_repeated_key_gives_the_first_run(callboard, parts) -> None:
    one = parts["first"].send(1, key="k")
    two = parts["first"].send(2, key="k")
    other = parts["first"].send(2, key="k", tenant="other")
    assert (two, two.duplicate, other.duplicate) == (one, True, False)
    callboard.clock.advance("24h")
    assert not parts["first"].send(1, key="k").duplicate


def test_equal_content_is_one_run_within_the_window(callboard) -> None:
    @stage(idempotency=Idempotency(window="5m"))
    def once(x: int) -> int:
        return x

    run = once.send(1)
    assert once.send(1) == run
    assert once.send(2) != run
    callboard.clock.advance("5m")
    assert once.send(1) != run


def test_the_key_of_a_failed_run_is_an_error_or_starts_anew(callboard, parts) -> None:
    @stage(retry=Retry(attempts=1), idempotency=Idempotency(on_dead="restart"))
    def again(x: int) -> int:
        return x

    callboard.faults.fail("flaky")
    callboard.faults.fail("again")
    failed, restarted = parts["flaky"].send(1, key="k"), again.send(1)
    callboard.run_until_idle()
    with pytest.raises(IdempotentRunFailed):
        parts["flaky"].send(1, key="k")
    assert parts["flaky"].send_many([1], keys=["k"]) == [failed]
    assert again.send(1) != restarted


def test_a_cancelled_run_begins_nothing_more(callboard, parts) -> None:
    run = Pipeline("p", parts["first"] | sleep("1h") | parts["flaky"]).start(1)
    callboard.run_due()
    assert run.cancel()
    assert not run.cancel()
    callboard.run_until_idle()
    with pytest.raises(RunCancelled):
        run.result()
    callboard.history(run).assert_never_began("flaky")


def test_a_stage_under_way_learns_that_its_run_is_cancelled(callboard) -> None:
    seen = []

    @stage
    def long(x: int, ctx: Context) -> int:
        seen.append(ctx.cancelled)
        return x

    callboard.faults.slow("long", by="1m")
    run = long.send(1)
    callboard.clock.advance("1s")
    run.cancel()
    callboard.run_until_idle()
    assert seen == [True]
    assert run.status() is RunState.CANCELLED
    assert [event.name for event in callboard.history(run).events][-1] == "stage.refused"


def test_a_wait_with_a_timeout_is_as_long_as_it_says(callboard, parts) -> None:
    run = Pipeline("p", sleep("1h") | parts["first"]).start(1)
    before_ms = callboard.clock.now_ms()
    with pytest.raises(WaitTimeout):
        run.wait("59m")
    assert callboard.clock.now_ms() - before_ms == 59 * 60_000
    assert run.wait("1m") is RunState.COMPLETED


def test_waiting_for_what_never_comes_says_what_is_missing(callboard) -> None:
    run = Pipeline("p", wait_for("approved")).start(1)
    with pytest.raises(RunStuck, match="'approved'"):
        run.result()
    with pytest.raises(RunStuck, match="'approved'"):
        asyncio.run(run._awaited())
    with pytest.raises(WaitTimeout):
        run.wait("10s")


def test_a_signal_before_the_wait_counts_and_waits_are_served_in_order(callboard, parts) -> None:
    both = wait_for("go", int) & (sleep("1h") | wait_for("go", int))
    run = Pipeline("p", both).start(0)
    run.signal("go", 1)
    callboard.clock.advance("2h")
    assert callboard.history(run).waits() == ["go"]
    assert run.signal("go", 2)
    assert run.result() == [1, 2]
    with pytest.raises(RunEnded):
        run.signal("go", 3)


def test_a_wait_that_is_over_takes_the_other_way_or_dies(callboard, parts) -> None:
    other = Pipeline("p", wait_for("go", int, timeout="7d", otherwise=parts["first"])).start(1)
    none = Pipeline("q", wait_for("go", int, timeout="7d")).start(1)
    callboard.clock.advance("7d")
    assert other.result() == 2
    assert [letter.reason for letter in callboard.history(none).dead()] == ["wait_timed_out"]
    with pytest.raises(RunFailed, match="'go' did not come"):
        none.result()


def test_a_signal_that_came_stops_the_timer(callboard, parts) -> None:
    run = Pipeline("p", wait_for("go", int, timeout="7d", otherwise=parts["first"])).start(1)
    callboard.run_due()
    run.signal("go", 5)
    before_ms = callboard.clock.now_ms()
    callboard.run_until_idle()
    assert (run.result(), callboard.clock.now_ms()) == (5, before_ms)


def test_the_loser_of_a_race_is_cut_off_with_its_waits_and_children(callboard, parts) -> None:
    inner = Pipeline("inner", sleep("1d") | parts["flaky"])
    racers = first(parts["first"], wait_for("go", int), inner, sleep("9d") | parts["flaky"])
    run = Pipeline("p", racers | sleep("1h")).start(1)
    callboard.run_due()
    assert callboard.history(run).waits() == []
    assert run.result() == 2
    callboard.run_until_idle()
    (child,) = callboard.runs("inner")
    assert child.status() is RunState.CANCELLED
    callboard.history(run).assert_never_began("flaky")


def test_a_quorum_goes_on_with_enough_and_fails_without(callboard, parts) -> None:
    callboard.faults.fail("flaky", when=lambda x: x == 1)
    two = gather(parts["first"], parts["flaky"], sleep("1h") | parts["first"], need=2)
    run = Pipeline("p", two | parts["total"]).start(1)
    assert run.result() == 4
    assert callboard.history(run).caught() == ["flaky"]
    missed = Pipeline("q", gather(parts["first"], parts["flaky"], need=2)).start(1)
    with pytest.raises(RunFailed, match="too many have failed"):
        missed.result()


def test_a_death_inside_an_item_is_caught_by_the_join_of_that_item(callboard, parts) -> None:
    callboard.faults.fail("flaky", when=lambda x: x == 2)
    item = first(parts["flaky"], sleep("1h") | parts["first"])
    assert Pipeline("p", each(item, window=2)).start([1, 2, 3]).result() == [10, 3, 30]


def test_a_collecting_each_tells_of_every_item(callboard, parts) -> None:
    callboard.faults.fail("flaky", error=ValueError("no"), when=lambda x: x == 2)
    run = Pipeline("p", each(parts["flaky"], on_error="collect")).start([1, 2])
    ok, dead = run.result()
    assert ok == {"ok": True, "value": 10}
    assert dead == {"ok": False, "error": {"type": "ValueError", "message": "no"}}
    assert callboard.history(run).dead() == []


def test_a_loop_stops_when_content_or_after_its_limit(callboard, parts) -> None:
    def over_hundred(x: int) -> bool:
        return x > 100

    def never(x: int) -> bool:
        return False

    loop = repeat(parts["flaky"], until=over_hundred, every="1h")
    assert Pipeline("p", loop).start(1).result() == 1000
    endless = Pipeline("q", repeat(parts["first"], until=never, limit=3)).start(1)
    with pytest.raises(RunFailed, match="not content after 3 rounds"):
        endless.result()
    callboard.history(endless).assert_attempts("first_part", 3)
    assert callboard.history(endless).dead()[0].reason == "repeat_exhausted"


def test_a_child_run_hands_its_result_or_its_failure_to_the_parent(callboard, parts) -> None:
    inner = Pipeline("inner", parts["flaky"])
    outer = Pipeline("outer", parts["first"] | inner | parts["first"])
    assert outer.start(1).result() == 21
    callboard.faults.fail("flaky")
    with pytest.raises(RunFailed, match="child run of inner"):
        outer.start(1).result()


def test_a_cancelled_parent_cancels_its_child(callboard, parts) -> None:
    run = Pipeline("outer", Pipeline("inner", sleep("1d") | parts["first"])).start(1)
    callboard.run_due()
    run.cancel()
    assert [child.status() for child in callboard.runs("inner")] == [RunState.CANCELLED]


def test_a_failed_run_is_undone_in_reverse_and_failed_then(callboard, parts) -> None:
    undo = parts["undo"]
    flow = parts["first"].undo(undo) | parts["flaky"].undo(undo) | parts["told"]
    run = Pipeline("p", flow).start(1)
    callboard.faults.fail("told", error=KeyError("x"))
    callboard.faults.fail("take_back", attempt=1)
    callboard.faults.slow("take_back", by="1m", attempt=1)
    while run.status() is RunState.RUNNING:
        callboard.clock.advance("1s")
    assert run.status() is RunState.UNDOING
    assert not run.cancel()
    with pytest.raises(RunFailed, match="told"):
        run.result()
    callboard.history(run).assert_undone("flaky", "first_part")


def test_what_ends_while_a_run_is_undone_is_undone_too_and_leads_nowhere(callboard, parts) -> None:
    undo = parts["undo"]
    side = parts["flaky"].undo(undo) | parts["told"]
    run = Pipeline("p", parts["first"].undo(undo) | (side & parts["refuses"])).start(1)
    callboard.faults.slow("flaky", by="5s")
    callboard.faults.slow("take_back", by="1m")
    callboard.run_until_idle()
    assert run.status() is RunState.FAILED
    callboard.history(run).assert_undone("first_part", "flaky")
    callboard.history(run).assert_never_began("told")


def test_what_ends_after_a_run_has_failed_is_undone_all_the_same(callboard, parts) -> None:
    side = parts["flaky"].undo(parts["undo"])
    run = Pipeline("p", side & parts["refuses"]).start(1)
    callboard.faults.slow("flaky", by="5s")
    callboard.run_due()
    assert run.status() is RunState.FAILED
    callboard.run_until_idle()
    callboard.history(run).assert_undone("flaky")


def test_an_undo_that_dies_leaves_a_letter_and_the_next_goes_on(callboard, parts) -> None:
    undo = parts["undo"]
    run = Pipeline("p", parts["first"].undo(undo) | parts["flaky"].undo(undo) | parts["refuses"])
    callboard.faults.fail("take_back", when=lambda x: x > 10)
    run = run.start(1)
    callboard.run_until_idle()
    assert run.status() is RunState.FAILED
    callboard.history(run).assert_undone("first_part")
    callboard.history(run).assert_dead("take_back")


def test_branches_beside_a_death_go_on_to_their_join(callboard, parts) -> None:
    run = Pipeline("p", (sleep("1h") | parts["first"]) & parts["refuses"]).start(1)
    callboard.run_until_idle()
    assert run.status() is RunState.FAILED
    callboard.history(run).assert_ran("first_part")


def test_a_delay_and_a_priority_hold_for_the_first_message(callboard, parts) -> None:
    late = parts["first"].send(1, delay="1h")
    urgent = parts["flaky"].send(1, priority=9)
    callboard.run_due()
    assert (late.status(), urgent.status()) == (RunState.RUNNING, RunState.COMPLETED)
    callboard.clock.advance("1h")
    assert late.status() is RunState.COMPLETED
    with pytest.raises(OptionInvalid):
        Pipeline("p", parts["first"] & parts["flaky"]).start(1, delay="1h")


def test_a_stage_can_start_a_run_and_wait_for_it(callboard, parts) -> None:
    @stage
    def outer(x: int) -> int:
        return parts["first"].send(x).result()

    assert outer.send(1).result() == 2


def test_the_order_is_fixed_without_a_seed_and_shuffled_the_same_way_with_one(parts) -> None:
    def order(seed: int | None) -> list[str]:
        with InlineEngine(seed=seed) as engine:
            run = Pipeline("p", each(parts["first"], window=20)).start(list(range(20)))
            run.result()
            return [e.position for e in engine.history(run).events if e.name == "stage.completed"]

    assert order(None)[:20] == [f"1.{i}" for i in range(20)]
    assert order(1) == order(1) != order(2)
    assert order(1) != order(None)


def test_runs_have_the_same_ids_each_time(parts) -> None:
    def run_id() -> str:
        with InlineEngine():
            return parts["first"].send(1).id

    assert run_id() == run_id()


def test_an_unknown_run_is_not_found(callboard) -> None:
    for run_id in ("0" * 32, "nonsense"):
        with pytest.raises(RunNotFound):
            callboard.history(run_id)


def test_an_injected_failure_needs_no_error(callboard, parts) -> None:
    callboard.faults.fail("flaky")
    with pytest.raises(RunFailed) as caught:
        parts["flaky"].send(1).result()
    assert isinstance(caught.value.__cause__, InjectedFailure)


def test_a_retry_of_a_cancelled_run_does_not_come(callboard, parts) -> None:
    callboard.faults.fail("flaky")
    callboard.faults.slow("flaky", by="1m")
    run = parts["flaky"].send(1)
    callboard.clock.advance("1s")
    run.cancel()
    callboard.run_until_idle()
    callboard.history(run).assert_attempts("flaky", 1)
    assert [view.state for view in run.view().stages] == ["cancelled"]


def test_a_signal_repeated_under_its_id_changes_nothing(callboard, parts) -> None:
    run = Pipeline("p", wait_for("go", int) | wait_for("go", int)).start(0)
    assert run.signal("go", 1, once="a")
    assert not run.signal("go", 2, once="a")
    assert run.signal("go", 3, once="b")
    assert run.result() == 3


def test_a_paused_run_begins_nothing_until_it_is_resumed(callboard, parts) -> None:
    run = Pipeline("p", parts["first"] | sleep("1h") | parts["first"]).start(1)
    callboard.run_due()
    assert run.pause()
    assert not run.pause()
    callboard.clock.advance("2h")
    assert run.status() is RunState.RUNNING
    assert run.resume()
    assert run.result() == 3
    with pytest.raises(RunEnded):
        run.pause()


def test_a_cancelled_run_is_undone_where_that_is_asked_for(callboard) -> None:
    undone = []

    @stage
    def book(x: int) -> int:
        return x + 1

    @stage
    def unbook(x: int) -> None:
        undone.append(x)

    pipeline = Pipeline("p", book.undo(unbook) | wait_for("go", int))
    run = pipeline.start(1)
    callboard.run_due()
    assert run.cancel(undo=True)
    assert run.wait() is RunState.CANCELLED
    assert undone == [2]
    run = pipeline.start(1)
    callboard.run_due()
    assert run.cancel()
    assert undone == [2]


def test_a_batch_takes_the_messages_of_many_runs(callboard) -> None:
    calls = []

    @stage(retry=Retry(attempts=2, base="1s"))
    def tens(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        return [ValueError("three") if n == 3 else 10 * n for n in numbers]

    runs = Pipeline("p", batch(tens, size=3)).start_many([1, 2, 3, 4])
    callboard.run_until_idle()
    assert [run.status().value for run in runs] == ["completed", "completed", "failed", "completed"]
    assert runs[3].result() == 40
    assert calls == [[1, 2, 3], [4], [3]]
