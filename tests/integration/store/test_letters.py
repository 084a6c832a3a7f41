"""Dead letters: redrive to work, with or without a fix, and purge."""

from __future__ import annotations

from tests.integration.store.audit import audit, strays
from tests.integration.store.stand import Hand, Stand, arrive, each, end, fork, one


def kill(hand: Hand, *, story: str = "{}") -> str:
    """Fetches one message and lets it die; returns its id."""
    [delivery] = hand.fetch(1).deliveries
    hand.end(delivery, "dead", story=story)
    return delivery.id


def test_a_redriven_message_starts_afresh_at_the_end_of_its_queue(stand: Stand, hand: Hand) -> None:
    [message] = stand.send(body=b"body", priority=7)
    hand.end(hand.fetch().deliveries[0], "retry", delay_ms=1)
    stand.advance(2)
    kill(hand)
    [other] = stand.send(priority=7)
    [lower] = stand.send(priority=6)
    stand.woken()
    assert stand.store.letters.redrive(message) == "redriven"
    assert stand.woken()
    got = hand.fetch().deliveries
    assert [(d.id, d.attempt) for d in got] == [(other, 1), (message, 1), (lower, 1)]
    assert stand.store.letters.read(message) is None
    audit(stand)


def test_a_letter_can_be_redriven_with_another_body(stand: Stand, hand: Hand) -> None:
    stand.send(body=b"bad")
    message = kill(hand)
    stand.store.letters.redrive(message, b"good")
    assert hand.fetch().deliveries[0].body == b"good"


def test_a_letter_is_redriven_once(stand: Stand, hand: Hand) -> None:
    stand.send()
    message = kill(hand)
    assert stand.store.letters.redrive(message) == "redriven"
    before = stand.dump()
    assert stand.store.letters.redrive(message) == "unknown"
    assert stand.dump() == before


def test_a_redriven_stage_sets_its_run_going_again(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    message = kill(hand)
    assert stand.state(run) == "failed"
    assert stand.store.letters.redrive(message) == "redriven"
    record = stand.store.runs.read(run)
    assert (record.state, record.ended_at_ms) == ("running", None)
    assert stand.ttl("run", run=run) == -1
    hand.end(hand.fetch().deliveries[0], edges=[end(b"1")])
    assert stand.store.runs.state(run) == ("completed", b"1")
    assert strays(stand) == []


def test_a_redriven_member_completes_its_join(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"))
    dead = kill(hand)
    [second] = hand.fetch().deliveries
    hand.end(second, edges=[arrive("2", 1, b"b")])
    stand.store.letters.redrive(dead)
    assert strays(stand) == []
    hand.end(hand.fetch().deliveries[0], edges=[arrive("2", 0, b"a")])
    [successor] = hand.fetch().deliveries
    assert successor.inputs == [b"a", b"b"]
    hand.end(successor, edges=[end()])
    assert stand.state(run) == "completed"


def test_every_dead_member_of_a_run_can_be_redriven(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"))
    dead = [kill(hand), kill(hand)]
    assert [stand.store.letters.redrive(message) for message in dead] == ["redriven"] * 2
    for number, delivery in enumerate(hand.fetch().deliveries):
        hand.end(delivery, edges=[arrive("2", number)])
    hand.end(hand.fetch().deliveries[0], edges=[end()])
    assert stand.state(run) == "completed"
    audit(stand)


def test_a_dead_successor_of_a_join_is_redriven_with_its_inputs(stand: Stand, hand: Hand) -> None:
    stand.start(fork("0", "1", then="2"))
    for number, delivery in enumerate(hand.fetch().deliveries):
        hand.end(delivery, edges=[arrive("2", number, str(number).encode())])
    dead = kill(hand)
    stand.store.letters.redrive(dead)
    [again] = hand.fetch().deliveries
    assert (again.kind, again.body, again.inputs) == ("j", b"{}", [b"0", b"1"])
    hand.end(again, "dead")
    stand.store.letters.redrive(dead, b'{"fixed":1}')
    [again] = hand.fetch().deliveries
    assert (again.body, again.inputs) == (b'{"fixed":1}', [b"0", b"1"])


def test_a_dead_item_of_an_each_is_redriven_with_its_input(stand: Stand, hand: Hand) -> None:
    stand.start([each("0", [b"a", b"b"], 1, "1")])
    dead = kill(hand)
    assert hand.ids() == []
    stand.store.letters.redrive(dead)
    [again] = hand.fetch().deliveries
    assert again.inputs == [b"{}", b"a"]
    hand.end(again, edges=[arrive("1", 0)])
    assert hand.fetch().deliveries[0].inputs == [b"{}", b"b"]
    audit(stand)


def test_a_letter_whose_run_is_gone_stays_a_letter(stand: Stand, hand: Hand) -> None:
    run = stand.start()
    message = kill(hand)
    stand.client.delete(stand.key("run", run=run))
    assert stand.store.letters.redrive(message) == "run_gone"
    assert stand.store.letters.read(message) is not None
    audit(stand)


def test_a_letter_without_a_readable_message_cannot_be_redriven(stand: Stand, hand: Hand) -> None:
    [message] = stand.send()
    [delivery] = hand.fetch().deliveries
    stand.client.hset(stand.key("messages"), message, b"rubbish")
    hand.end(delivery, "dead")
    assert stand.store.letters.redrive(message) == "undecodable"
    assert stand.store.letters.redrive("nothing") == "unknown"


def test_siblings_of_a_dead_stage_go_on(stand: Stand, hand: Hand) -> None:
    run = stand.start([one("0"), one("1")])
    kill(hand)
    [second] = hand.fetch().deliveries
    assert hand.end(second, edges=[one("3")]) == "committed"
    assert hand.ids() == [f"{run}:3"]
    assert stand.state(run) == "failed"


def test_purge_forgets_the_letters_of_one_queue_before_a_time(stand: Stand, hand: Hand) -> None:
    stand.send(3)
    old = [kill(hand) for _ in range(2)]
    stand.advance(10_000)
    edge = stand.now_ms() - 5_000
    young = kill(hand)
    assert stand.store.letters.purge("q", before_ms=edge) == 2
    assert stand.store.letters.newest("q") == [young]
    assert all(stand.store.letters.read(message) is None for message in old)
    assert stand.store.letters.purge("other") == 0
    audit(stand)


def test_purge_forgets_one_letter_or_all_of_thousands(stand: Stand, hand: Hand) -> None:
    for _ in range(5):
        stand.send(128)
        deliveries = hand.fetch(128).deliveries
        hand.commit(*(hand.ending(d, "dead") for d in deliveries))
    assert stand.store.letters.purge("q", message=deliveries[0].id) == 1
    assert stand.store.letters.purge("q", message="nothing") == 0
    assert stand.count()[3] == 639
    assert stand.store.letters.purge("q") == 639
    assert [name for name in stand.names() if name.startswith(("letter", "errors"))] == []
    audit(stand)


def test_letters_are_listed_newest_first_page_by_page(stand: Stand, hand: Hand) -> None:
    stand.send(5)
    dead = []
    for _ in range(5):
        dead.append(kill(hand))
        stand.advance(10)
    assert stand.store.letters.newest("q", at_most=2) == dead[::-1][:2]
    assert stand.store.letters.newest("q", at=2, at_most=2) == dead[::-1][2:4]


def test_a_run_goes_on_only_when_its_last_letter_is_redriven(stand: Stand, hand: Hand) -> None:
    run = stand.start(fork("0", "1", then="2"))
    first, second = kill(hand), kill(hand)
    stand.store.letters.redrive(first)
    assert stand.state(run) == "failed"
    assert stand.ttl("run", run=run) > 0
    hand.end(hand.fetch().deliveries[0], edges=[arrive("2", 0)])
    stand.store.letters.redrive(second)
    assert (stand.state(run), stand.ttl("run", run=run)) == ("running", -1)
    assert strays(stand) == []


def test_a_run_whose_other_letter_is_purged_does_not_stay_for_ever(
    stand: Stand, hand: Hand
) -> None:
    run = stand.start(fork("0", "1", then="2"))
    first, second = kill(hand), kill(hand)
    stand.store.letters.redrive(first)
    hand.end(hand.fetch().deliveries[0], edges=[arrive("2", 0)])
    stand.store.letters.purge("q", message=second)
    assert stand.state(run) == "failed"
    assert stand.ttl("run", run=run) > 0
    assert strays(stand) == []
