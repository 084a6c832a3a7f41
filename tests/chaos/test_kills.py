"""kill -9 of workers and masters under load: nothing lost, nothing twice, back within 15 s."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import Producer, send_some
from tests.chaos.test_gentle import check_plain

KILLS = int(os.environ.get("CHAOS_KILLS", "20"))


def test_workers_killed_under_load_lose_nothing(fleet: Fleet) -> None:
    fleet.start()
    victims = [fleet.start(), fleet.start()]
    with Producer(fleet):
        eventually(lambda: len(fleet.ledger.read()) > 50, 10)
        fleet.kill_workers(victims[0])
        fleet.kill_all(victims[1])
    fleet.start()
    fleet.history.wait_ended(30)
    check_plain(fleet, gentle=False)
    fleet.history.check(gentle=False)
    assert fleet.history.told("consumer.lost")


def test_workers_of_a_killed_master_drain_and_end(fleet: Fleet) -> None:
    victim = fleet.start(processes=2)
    send_some(fleet, 10)
    fleet.kill_master(victim)
    eventually(lambda: fleet.gone(victim), 15, "workers without a master end")
    fleet.start()
    fleet.history.wait_ended(20)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    assert not fleet.history.told("message.returned")


def test_workers_of_a_master_that_dies_while_they_boot_end_too(fleet: Fleet) -> None:
    victims = []
    for pause_s in (0.4, 0.7, 1.0, 1.3):
        victims.append(fleet.start(ready=False))
        time.sleep(pause_s)
        fleet.kill_master(victims[-1])
    eventually(lambda: all(fleet.gone(v) for v in victims), 25, "workers without a master end")


def test_a_full_log_pipe_does_not_hold_a_worker_whose_master_died(fleet: Fleet) -> None:
    victim = fleet.start()
    fleet.history.accepted(workload.flaky.send_many(range(3_000)))  # every failure is logged
    eventually(lambda: len(fleet.history.told("stage.retried")) > 200, 20)
    fleet.kill_master(victim)
    eventually(lambda: fleet.gone(victim), 15, "workers without a master end")
    fleet.start()
    fleet.history.wait_ended(40)
    fleet.history.check(gentle=True)


def test_a_quiet_queue_is_taken_over_within_15_seconds(fleet: Fleet) -> None:
    victim = fleet.start()
    run = workload.slow.send(0.5)
    fleet.history.accepted([run])
    eventually(lambda: fleet.ledger.of("slow"))
    fleet.kill_all(victim)
    time.sleep(5)  # nobody beats for longer than any silence
    started = time.monotonic()
    fleet.start(ready=False)
    eventually(
        lambda: len([e for e in fleet.ledger.of("slow") if e.item == "begun"]) == 2, 15, fleet.log
    )
    assert time.monotonic() - started < 15
    fleet.history.wait_ended(5)
    fleet.history.check(gentle=False)


def test_stock_pipelines_and_callbacks_survive_kills(fleet: Fleet) -> None:
    fleet.environment["CHAOS_SILENCE_MS"] = "4000"
    fleet.start()
    plain, numbers = fleet.plain, range(1, 301)
    for number in numbers:
        chain = plain["plain"].message(number) | plain["plain_doubling"].message()
        chain.run()
        plain["plain_doubling"].send_with_options(args=(number,), on_success=plain["plain_told"])
        plain["plain_flaky"].send(number)
    for _ in range(3):
        victim = fleet.start()
        done = len(fleet.ledger.read())
        eventually(
            lambda n=done: len(fleet.ledger.read()) > n + 40 or len(fleet.ledger.read()) > 1400, 20
        )
        fleet.kill_all(victim)

    def missing() -> dict[str, int]:
        seen = {
            s: {int(e.run) for e in fleet.ledger.of(s)}
            for s in ("plain_doubling", "plain_told", "plain_flaky")
        }
        return {
            stage: len(set(numbers) - runs) for stage, runs in seen.items() if set(numbers) - runs
        }

    eventually(lambda: not missing(), 40, missing, every=0.2)
    fleet.history.check_store()


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_many_kills(fleet: Fleet) -> None:
    random.seed(os.environ.get("CHAOS_SEED", "1"))
    workers = [fleet.start() for _ in range(3)]
    for kill in range(KILLS):
        with Producer(fleet, pause_s=0.2, each=1):
            time.sleep(random.uniform(0.3, 2.0))
            victim = workers.pop(random.randrange(len(workers)))
            random.choice((fleet.kill_all, fleet.kill_workers, fleet.kill_master))(victim)
            workers.append(fleet.start(ready=False))
        if kill % 20 == 19:
            fleet.wait_ready(workers[-1])
            fleet.history.wait_ended(120)
            fleet.history.check(gentle=False)
    fleet.history.wait_ended(120)
    check_plain(fleet, gentle=False)
    fleet.history.check(gentle=False)
