"""A stage that kills its process: exactly the configured recoveries, and no innocent pays."""

from __future__ import annotations

import subprocess

import pytest

from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet

PILLS = {0: workload.pill_0, 1: workload.pill_1, 2: workload.pill_2}


def keep_running(fleet: Fleet, workers: list[subprocess.Popen[bytes]]) -> None:
    """Stock `dramatiq` ends with its worker; a supervisor would start it again."""
    for i, worker in enumerate(workers):
        if worker.poll() is not None:
            fleet.kill_all(worker)
            workers[i] = fleet.start(ready=False)


@pytest.mark.parametrize(
    ("allowed", "how", "silence_ms"),
    [
        (1, "exit", 4_000),
        pytest.param(0, "segfault", 4_000, marks=pytest.mark.chaos),
        pytest.param(1, "segfault", 10_000, marks=pytest.mark.chaos),
        pytest.param(2, "kill", 4_000, marks=pytest.mark.chaos),
    ],
)
def test_a_poison_pill_dies_and_innocents_do_not_pay(
    fleet: Fleet, allowed: int, how: str, silence_ms: int
) -> None:
    history = fleet.history
    fleet.environment["CHAOS_SILENCE_MS"] = str(silence_ms)
    pill = PILLS[allowed].send(how)
    history.accepted([pill])
    history.accepted(workload.innocent.send_many(range(30)))
    workers = [fleet.start(ready=False), fleet.start(ready=False)]

    def over() -> bool:
        keep_running(fleet, workers)
        return not history.states()["running"]

    eventually(over, 70, lambda: (dict(history.states()), history.told("stage.died")), every=0.2)
    history.check(gentle=False, failed=1)
    # The first death proves nothing, it had company; then it runs alone until its guilt is proven.
    assert len(fleet.ledger.of(f"pill_{allowed}")) == allowed + 2
    [letter] = fleet.engine.store.letters.newest(workload.QUEUE)
    told = fleet.engine.store.letters.read(letter)
    assert told is not None
    assert (told.message, told.reason) == (f"{pill.id}:0", "stalled")
    assert how in told.body.decode()
    assert {effect.item for effect in fleet.ledger.of("innocent")} == {"1"}, (
        "no attempt was consumed"
    )
