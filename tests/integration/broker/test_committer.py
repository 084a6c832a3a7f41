"""Numbers of commits: after a refused group and after lost replies each ending counts once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from engine.broker.committer import Committer
from engine.broker.handed import hand as handed_of
from engine.errors import StoreUnreachable
from engine.store.connection import Link
from engine.store.entries import Ending
from engine.store.store import connect
from tests.chaos.proxy import Proxy, nothing
from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand


class Desk:
    """A committer whose consumer has leased six plain messages; its line goes through a proxy."""

    def __init__(self, stand: Stand, proxy: Proxy) -> None:
        self.stand, self.proxy = stand, proxy
        self.store = connect(proxy.url, namespace=stand.namespace, shifted_clock=True)
        self.store.links.patience_ms = 100
        self.link: Link = self.store.links.take()
        self.committer = Committer(self.store.transit)
        other = stand.hand("other")
        stand.send()
        other.end(other.fetch(1).deliveries[0])  # the server knows the script from now on
        self.hand: Hand = stand.hand("c1")
        self.sent = stand.send(6)
        self.deliveries = {d.id: d for d in self.hand.fetch(6).deliveries}

    def end(self, message: str, **fields: Any) -> None:
        """A message has been processed."""
        delivery = self.deliveries[message]
        ending: Ending = self.hand.ending(delivery, **fields)
        self.committer.add(ending, handed_of(delivery, 0))

    def end_badly(self, message: str) -> None:
        """One whose ending the store must refuse: it sends to a queue that is broken."""
        self.stand.client.set(self.stand.key("ring", queue="broken"), "no ring")
        self.end(message, outbox=[self.stand.message("broken").in_outbox()])

    def turn(self) -> list[str]:
        """One turn of the pump: the ids that it lets go."""
        call = self.committer.call("c1")
        assert call is not None
        [reply] = self.link.exchange([call])
        return [h.delivery.id for h in self.committer.settle(self.link, "c1", reply)]

    def letters(self) -> dict[str, str]:
        found = {m: self.stand.store.letters.read(m) for m in self.stand.store.letters.newest("q")}
        return {message: letter.reason for message, letter in found.items() if letter}

    def close(self) -> None:
        self.link.close()
        self.store.close()


@pytest.fixture
def desk(stand: Stand, client: redis.Redis) -> Iterator[Desk]:
    with Proxy(client.connection_pool.connection_kwargs["port"]) as proxy:
        desk = Desk(stand, proxy)
        yield desk
        desk.close()


def lose_commits(desk: Desk, first: int) -> None:
    """From the `first` commit on, every reply is lost after the script has run."""
    desk.proxy.rule = lambda name, number: (
        "lose_reply" if name == "commit" and number >= first else None
    )


def mended(desk: Desk) -> None:
    """The broken queue is whole again, so that an audit can count."""
    desk.stand.client.delete(desk.stand.key("ring", queue="broken"))
    audit(desk.stand)


def test_a_refused_group_is_sent_one_by_one_and_the_next_groups_count(desk: Desk) -> None:
    a, bad, b, *later = desk.sent
    desk.end(a), desk.end_badly(bad), desk.end(b)
    assert desk.turn() == [a, bad, b]
    assert desk.stand.count() == (0, 0, 3, 1)
    assert desk.letters() == {bad: "commit_refused"}
    for left, message in zip((2, 1, 0), later, strict=True):
        desk.end(message)
        assert desk.turn() == [message]
        assert desk.stand.count() == (0, 0, left, 1)
    assert not desk.committer.busy
    mended(desk)


@pytest.mark.parametrize("lost_from", [2, 3, 4, 5], ids=["first", "bad", "its letter", "last"])
def test_a_lost_line_among_entries_sent_alone_ends_each_of_them_once(
    desk: Desk, lost_from: int
) -> None:
    a, bad, b, later, *_ = desk.sent
    desk.end(a), desk.end_badly(bad), desk.end(b)
    lose_commits(desk, lost_from)
    with pytest.raises(StoreUnreachable):
        desk.turn()
    assert desk.committer.busy
    desk.proxy.rule = nothing
    assert desk.turn() == [a, bad, b]
    assert desk.letters() == {bad: "commit_refused"}
    desk.end(later)
    assert desk.turn() == [later]
    assert desk.stand.count() == (0, 0, 2, 1)
    assert not desk.committer.busy
    mended(desk)


def test_a_group_whose_reply_was_lost_has_the_same_verdicts_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for message in desk.sent[:3]:
        desk.end(message)
    lose_commits(desk, 1)
    with pytest.raises(StoreUnreachable):
        desk.turn()
    assert desk.stand.count() == (0, 0, 3, 0), "it was committed, and nobody knows"
    desk.proxy.rule = nothing
    desk.end(desk.sent[3])  # what ends meanwhile is of the next group
    assert desk.turn() == desk.sent[:3]
    assert "was not committed" not in caplog.text
    assert desk.turn() == desk.sent[3:4]
    assert desk.stand.count() == (0, 0, 2, 0)
    audit(desk.stand)
