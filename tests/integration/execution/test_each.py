"""Maps over more items than one call of the store may hold: each once, all in order."""

from __future__ import annotations

from collections import Counter

from engine import Context, Page, Pipeline, each, stage
from engine.errors import StoreUnreachable
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.workload import QUEUE

ITEMS = 5_000
AT_ONCE = 700


@stage(queue=QUEUE)
def numbers_of(mark: int) -> Page[int, int]:
    last = min(mark + AT_ONCE, ITEMS)
    return Page(list(range(mark, last)), last if last < ITEMS else None)


@stage(queue=QUEUE)
def visit(number: int, ctx: Context) -> int:
    workload.note(ctx, number)
    return number * 3


@stage(queue=QUEUE)
def is_in_order(results: list[int]) -> int:
    assert results == [number * 3 for number in range(ITEMS)]
    return len(results)


paged = Pipeline("paged", each(visit, window=100, pages=numbers_of) | is_in_order)
listed = Pipeline("listed", each(visit, window=100) | is_in_order)
handed_on = Pipeline("handed-on", each(visit, window=100))


def visits(fleet: Fleet) -> Counter[int]:
    return Counter(int(effect.item) for effect in fleet.ledger.of("visit"))


def test_pages_are_visited_once_an_item_and_come_out_in_order(inside: Fleet) -> None:
    run = paged.start(0)
    inside.history.accepted([run])
    assert run.result("30s") == ITEMS
    assert visits(inside) == Counter(range(ITEMS))
    inside.history.check(gentle=True)


def test_a_long_list_is_visited_once_an_item_and_comes_out_in_order(inside: Fleet) -> None:
    run = listed.start(list(range(ITEMS)))
    inside.history.accepted([run])
    assert run.result("30s") == ITEMS
    assert visits(inside) == Counter(range(ITEMS))
    inside.history.check(gentle=True)


def test_results_too_many_for_one_reply_are_a_runs_own_result_too(inside: Fleet) -> None:
    run = handed_on.start(list(range(ITEMS)))
    inside.history.accepted([run])
    assert run.result("30s") == [number * 3 for number in range(ITEMS)]


def test_a_successor_whose_results_cannot_be_read_now_is_put_off(inside: Fleet) -> None:
    store = inside.engine.store
    real, tried = store.runs.results, []

    def away_at_first(run: str, join: str, members: int) -> list[bytes | None]:
        tried.append(members)
        if len(tried) == 1:
            raise StoreUnreachable("results", "the test says so")
        return real(run, join, members)

    store.runs.results = away_at_first  # type: ignore[method-assign]
    run = listed.start(list(range(ITEMS)))
    inside.history.accepted([run])
    assert run.result("30s") == ITEMS
    eventually(lambda: tried == [ITEMS, ITEMS])
    assert not inside.history.told("stage.retried")
