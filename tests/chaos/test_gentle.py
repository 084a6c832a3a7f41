"""The workload where nothing breaks, or a worker ends in order: effects are completions."""

from __future__ import annotations

from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import Producer, plain_sent, send_some


def check_plain(fleet: Fleet, *, gentle: bool) -> None:
    """Every accepted plain message had its effect; exactly one where nobody was killed."""
    sent = sorted(plain_sent(fleet))

    def seen() -> list[int]:
        return sorted(int(effect.run) for effect in fleet.ledger.of("plain_flaky"))

    eventually(
        lambda: set(seen()) >= set(sent), 20, lambda: f"lost plain: {set(sent) - set(seen())}"
    )
    if gentle:
        assert seen() == sent


def test_a_bit_of_everything_ends_once(fleet: Fleet) -> None:
    fleet.start(processes=2)
    send_some(fleet, 10)
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)


def test_a_rolling_restart_redelivers_nothing(fleet: Fleet) -> None:
    first, second = fleet.start(), fleet.start()
    with Producer(fleet):
        for old in (first, second):
            fleet.start()
            assert fleet.stop(old) == 0
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    assert not fleet.history.told("message.returned")
    assert not fleet.history.told("consumer.lost")
