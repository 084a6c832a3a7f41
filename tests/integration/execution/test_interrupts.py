"""A run cancelled while a stage of it runs: the stage is interrupted, and nothing of it counts."""

from __future__ import annotations

from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet


def test_a_stage_of_a_cancelled_run_is_interrupted(inside: Fleet) -> None:
    run = workload.slow.send(0.1)
    inside.history.accepted([run])
    inside.history.wait_ended(5)
    long = workload.patient.send(20.0)
    inside.history.accepted([long])
    eventually(lambda: [e for e in inside.ledger.of("patient") if e.item == "begun"])
    assert long.cancel()
    eventually(lambda: [e for e in inside.ledger.of("patient") if e.item == "Stopped"], 4)
    inside.history.wait_ended(5)
    inside.history.check(gentle=False)
    assert not [e for e in inside.ledger.of("patient") if e.item == "ended"]


def test_an_async_stage_of_a_cancelled_run_is_interrupted(inside: Fleet) -> None:
    long = workload.patient_async.send(20.0)
    inside.history.accepted([long])
    eventually(lambda: inside.ledger.of("patient_async"))
    assert long.cancel()
    eventually(
        lambda: [e for e in inside.ledger.of("patient_async") if e.item == "CancelledError"], 4
    )
    inside.history.wait_ended(5)
    inside.history.check(gentle=False)
