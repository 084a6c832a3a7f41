"""Usage is counted once a run and kind, into the month of the server's clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.errors import NameInvalid, OptionInvalid, ScriptRefused
from engine.store.store import Store
from tests.integration.maintenance.conftest import shift


def begin(store: Store, run: str) -> str:
    store.links.command("HSET", store.links.keys.name("run", run=run), "state", "running")
    return run


def put_clock(store: Store, at: datetime) -> None:
    shift(store, int(at.timestamp() * 1000) - store.queues.now_ms())


def test_each_kind_is_added_once_a_run(store: Store) -> None:
    put_clock(store, datetime(2031, 5, 6, tzinfo=UTC))
    one, two = begin(store, "run-1"), begin(store, "run-2")

    assert store.usage.add("acme", "calls", 3, once=one) is True
    assert store.usage.add("acme", "calls", 3, once=one) is False
    assert store.usage.add_all("acme", {"calls": 3, "bytes": 100}, once=one) == {
        "calls": False,
        "bytes": True,
    }
    assert store.usage.add("acme", "calls", 4, once=two) is True

    assert store.usage.read("acme", "2031-05") == {"calls": 7, "bytes": 100}
    assert store.usage.read("other", "2031-05") == {}


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2028, 2, 29, 23, 59, 58, tzinfo=UTC),
        datetime(2028, 3, 1, tzinfo=UTC),
        datetime(2027, 12, 31, 23, 59, 58, tzinfo=UTC),
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2100, 2, 28, 12, tzinfo=UTC),
        datetime(2100, 3, 1, tzinfo=UTC),
        datetime(2035, 8, 31, 12, tzinfo=UTC),
    ],
)
def test_the_month_is_that_of_the_servers_clock(store: Store, moment: datetime) -> None:
    put_clock(store, moment)
    store.usage.add("acme", "calls", once=begin(store, "run-1"))

    assert store.usage.read("acme", moment.strftime("%Y-%m")) == {"calls": 1}


def test_a_month_is_forgotten_after_a_year_and_more(store: Store) -> None:
    put_clock(store, datetime(2031, 5, 6, tzinfo=UTC))
    store.usage.add("acme", "calls", once=begin(store, "run-1"))

    name = store.links.keys.name("usage", tenant="acme", month="2031-05")
    left_ms = store.links.command("PTTL", name)
    assert 399 * 86_400_000 < left_ms <= 400 * 86_400_000


def test_what_cannot_be_remembered_is_not_added(store: Store) -> None:
    with pytest.raises(ScriptRefused, match="RUN_GONE"):
        store.usage.add("acme", "calls", once="nobody")
    begin(store, "run-1")
    with pytest.raises(OptionInvalid, match="amount=-1"):
        store.usage.add("acme", "calls", -1, once="run-1")
    with pytest.raises(NameInvalid):
        store.usage.add("acme", "no spaces", once="run-1")
    assert store.links.command("KEYS", store.links.keys.prefix + "usage:*") == []
