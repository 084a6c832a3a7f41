"""Pages: an each that reads its items page by page keeps Redis flat, whatever the pages hold."""

from __future__ import annotations

import pytest

from tests.integration.store.audit import audit, strays
from tests.integration.store.branching import at, extend, pages, value_of
from tests.integration.store.stand import Hand, Stand, arrive, end, one

EACH, READER, JOIN = "1", "0", "2"


def page(number: int, size: int) -> list[bytes]:
    return [f'"{number}.{item}"'.encode() for item in range(size)]


class Reading:
    """A run that reads pages of the given sizes, and how far it is."""

    def __init__(self, stand: Stand, hand: Hand, sizes: list[int], window: int) -> None:
        self.stand, self.hand, self.sizes, self.window = stand, hand, sizes, window
        self.run = stand.start([one(f"{READER}.0")])
        self.most_fields = self.most_open = 0

    def step(self, *, hold_pages: bool = False) -> bool:
        """Fetches and ends one message; False when there is none."""
        held = at(self.hand, 100)
        self.watch(held)
        for position, delivery in held.items():
            node, _, number = position.partition(".")
            if node == JOIN:
                return False
            if node == READER:
                if hold_pages:
                    continue
                self.hand.end(delivery, edges=self.page_read(int(number)))
            else:
                self.hand.end(delivery, edges=[arrive(JOIN, int(number), number.encode())])
            return True
        return False

    def page_read(self, number: int) -> list[tuple[object, ...]]:
        items = page(number, self.sizes[number])
        more = f"{READER}.{number + 1}" if number + 1 < len(self.sizes) else None
        if number:
            return [extend(JOIN, items, more)]
        return [pages(EACH, items, self.window, JOIN, more)]

    def watch(self, held: dict[str, object]) -> None:
        fields = self.stand.client.hlen(self.stand.key("each", run=self.run, position=EACH))
        self.most_fields = max(self.most_fields, fields)
        items = [position for position in held if position.startswith(f"{EACH}.")]
        self.most_open = max(self.most_open, len(items))

    def finish(self) -> list[bytes]:
        """The results that the join hands on; the run ends."""
        successor = self.hand.held[f"{self.run}:{JOIN}"]
        inputs = successor.inputs if successor.kind == "j" else [value_of(successor)]
        self.hand.end(successor, edges=[end()])
        assert self.stand.state(self.run) == "completed"
        audit(self.stand)
        assert strays(self.stand) == []
        for shape, position in (("each", EACH), ("join", JOIN)):
            key = self.stand.key(shape, run=self.run, position=position)
            assert not self.stand.client.exists(key)
        return inputs


@pytest.mark.parametrize("sizes", [[10] * 8, [10, 0, 3, 0, 0, 10, 1], [1] * 20, [7], [10, 10, 0]])
def test_every_item_of_every_page_is_worked_once_and_redis_stays_flat(
    stand: Stand, hand: Hand, sizes: list[int]
) -> None:
    reading = Reading(stand, hand, sizes, 4)
    while reading.step():
        pass
    assert reading.finish() == [str(number).encode() for number in range(sum(sizes))]
    assert reading.most_open <= 4
    header = 7  # queue, priority, allowed, body, window, next, items
    assert reading.most_fields <= header + 4 + 2 * max(sizes)


def test_pages_that_are_all_empty_hand_on_an_empty_list(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [0, 0, 0], 5)
    # The first page of a list that is empty at once never becomes an each.
    while reading.step():
        pass
    assert reading.finish() == [b"[]"]


def test_a_last_page_that_is_empty_completes_the_join(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [3, 0], 5)
    held = at(hand)
    hand.end(held["0.0"], edges=reading.page_read(0))
    held = at(hand)
    for item in ("1.0", "1.1", "1.2"):
        hand.end(held[item], edges=[arrive(JOIN, int(item[2:]), item[2:].encode())])
    assert list(at(hand)) == ["0.1"]
    hand.end(hand.held[f"{reading.run}:0.1"], edges=reading.page_read(1))
    at(hand)
    assert reading.finish() == [b"0", b"1", b"2"]


def test_after_a_slow_page_the_window_is_filled_again(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [3, 20], 4)
    assert reading.step()
    while reading.step(hold_pages=True):
        pass
    assert list(at(hand)) == ["0.1"]
    hand.end(hand.held[f"{reading.run}:0.1"], edges=reading.page_read(1))
    assert sorted(at(hand, 100)) == ["1.3", "1.4", "1.5", "1.6"]
    while reading.step():
        pass
    assert len(reading.finish()) == 23


def test_the_next_page_is_read_while_items_are_still_worked(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [6, 6, 6], 3)
    reading.step()
    assert "0.1" not in at(hand, 100)
    for item in ("1.0", "1.1"):
        held = at(hand, 100)
        hand.end(held[item], edges=[arrive(JOIN, int(item[2:]))])
    assert "0.1" in at(hand, 100)
    audit(stand)


def test_a_page_and_the_end_of_items_in_one_group_lose_nothing(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [4, 4, 4], 4)
    reading.step()
    while True:
        held = at(hand, 100)
        if JOIN in held:
            break
        endings = []
        for position, delivery in held.items():
            node, _, number = position.partition(".")
            edges = (
                reading.page_read(int(number))
                if node == READER
                else [arrive(JOIN, int(number), number.encode())]
            )
            endings.append(hand.ending(delivery, edges=edges))
        assert set(hand.commit(*endings)) == {"committed"}
    assert len(reading.finish()) == 12


def test_a_page_that_was_redriven_goes_on_where_it_stopped(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [3, 3], 5)
    reading.step()
    held = at(hand)
    hand.end(held["0.1"], "dead")
    for item in ("1.0", "1.1", "1.2"):
        hand.end(held[item], edges=[arrive(JOIN, int(item[2:]), item[2:].encode())])
    assert strays(stand) == []
    assert stand.store.letters.redrive(f"{reading.run}:0.1") == "redriven"
    while reading.step():
        pass
    assert len(reading.finish()) == 6


def test_a_page_that_is_committed_twice_extends_once(stand: Stand, hand: Hand) -> None:
    reading = Reading(stand, hand, [2, 2], 5)
    reading.step()
    delivery = at(hand)["0.1"]
    ending = hand.ending(delivery, edges=reading.page_read(1))
    assert hand.commit(ending) == ["committed"]
    assert hand.commit(ending, again=True) == ["committed"]
    hand.commits += 1
    assert hand.commit(ending) == ["stale"]
    while reading.step():
        pass
    assert len(reading.finish()) == 4


def test_a_page_for_a_join_that_is_gone_changes_nothing(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    [delivery] = hand.fetch().deliveries
    assert hand.end(delivery, edges=[extend("9", [b"1"], "0.1")]) == "committed"
    assert not stand.client.exists(stand.key("each", run=run, position="8"))
    audit(stand)
    assert strays(stand) == []
