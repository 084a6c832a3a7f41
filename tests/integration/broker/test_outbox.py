"""What after-hooks enqueue leaves with the commit; where it cannot, the delivery comes again."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest

from tests.chaos import workload
from tests.chaos.conftest import working
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet


class Refusing(dramatiq.Middleware):
    """Refuses the first enqueues made for an actor, as a size limit would."""

    def __init__(self, actor: str, times: int) -> None:
        self.actor, self.left = actor, times

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        if message.actor_name == self.actor and self.left:
            self.left -= 1
            raise dramatiq.middleware.MiddlewareError("refused")


@pytest.mark.parametrize("what", ["a retry", "a successor"])
def test_a_refused_outbox_leads_to_redelivery(fleet: Fleet, what: str) -> None:
    plain = fleet.plain
    if what == "a retry":
        plain["plain_flaky"].send(1)
        refusing, stage = Refusing("plain_flaky", 1), "plain_flaky"
    else:
        (plain["plain"].message(1) | plain["plain_doubling"].message()).run()
        refusing, stage = Refusing("plain_doubling", 1), "plain_doubling"
    fleet.engine.broker.add_middleware(refusing)
    with working(fleet):
        eventually(lambda: fleet.ledger.of(stage), 15, "the work is not lost")
        fleet.history.check_store()
    assert refusing.left == 0
    assert len(fleet.ledger.of(stage)) == 1


def test_a_successor_appears_with_the_acknowledgement_and_not_before(inside: Fleet) -> None:
    numbers = range(200)
    for number in numbers:
        (inside.plain["plain"].message(number) | inside.plain["plain_doubling"].message()).run()
    eventually(lambda: len(inside.ledger.of("plain_doubling")) == len(numbers), 15)
    inside.history.check_store()
    assert sorted(int(e.run) for e in inside.ledger.of("plain_doubling")) == list(numbers)
    assert workload.QUEUE in inside.engine.store.queues.names()
