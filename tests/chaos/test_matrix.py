"""Node kinds nested in each other while workers are killed: none lost, stuck, early or double."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from engine.errors import RunEnded, RunNotFound
from engine.workflow.run import Run
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.inventory import Inventory
from tests.chaos.matrix import KINDS, Made, all_pairs, random_nestings
from tests.chaos.matrix_rules import check_stories, stories

SEED = int(os.environ.get("CHAOS_SEED", str(time.time_ns() % 1_000_000)))
EFFECTS_A_PAIR = 6


class Play:
    """Starts generated pipelines on a fleet, sends what their waits need, and kills workers."""

    def __init__(self, fleet: Fleet, made: Sequence[Made], seed: int) -> None:
        print(f"to see it again: CHAOS_SEED={seed}")
        fleet.environment["CHAOS_SILENCE_MS"] = "3000"
        self.fleet = fleet
        self.made = {name: one for top in made for name, one in top.family().items()}
        self.inputs: dict[str, int] = {}
        self.kills = 0
        self._top = made
        self._random = random.Random(seed)
        self._signalled: set[str] = set()
        self._workers: list[subprocess.Popen[bytes]] = []

    def hire(self, number: int) -> None:
        """Start so many commands of one worker process each."""
        self._workers += [self.fleet.start(threads=8) for _ in range(number)]

    def begin(self, at_once: Sequence[Made]) -> None:
        """Start one run of each."""
        for one in at_once:
            run = one.pipeline.start(one.number)
            self.fleet.history.accepted([run])
            self.inputs[run.id] = one.number

    def kill_one(self) -> None:
        """kill -9 a worker process that is at work, and start another command in its place."""
        at_work = {effect.pid for effect in self.fleet.ledger.read()[-20:]}
        busy = [w for w in self._workers if at_work & set(self.fleet.worker_pids(w))]
        victim = self._random.choice(busy or self._workers)
        self._workers.remove(victim)
        self.fleet.kill_workers(victim)
        self._workers.append(self.fleet.start(threads=8, ready=False))
        self.kills += 1

    def step(self) -> int:
        """Send what the waits of new runs need; give how many runs have not ended."""
        live = 0
        for story in stories(self.fleet.history).values():
            live += not story.ended
            if story.run not in self._signalled:
                self._signalled.add(story.run)
                self._signal(story.run, self.made[story.pipeline])
        return live

    def await_effects(self, number: int) -> None:
        """Wait until stages have had so many effects, while signals go on."""

        def reached() -> bool:
            self.step()
            return len(self.fleet.ledger.read()) >= number

        eventually(reached, 20, f"{number} effects")

    def finish(self, within: float) -> None:
        """Wait for the end of every run and of whatever they left, and check all of it."""
        eventually(lambda: not self.step(), within, self._stuck, every=0.2)
        found = Inventory(self.fleet.engine.store)

        def quiet() -> bool:
            found.take()  # timers of waits that lost a race are dropped when they are due
            return not [m for m, record in found.messages.items() if record[0] != "t"]

        eventually(quiet, 30, found, every=0.2)
        failed = self.fleet.history.states()["failed"]
        assert self.fleet.history.told("message.returned"), "no kill has met any work"
        check_stories(self.fleet.history, self.made, self.inputs)
        self.fleet.history.check(gentle=False, failed=failed)

    def _signal(self, run: str, made: Made) -> None:
        handle = Run(run, self.fleet.engine)
        for signal in made.part.signals:
            for number in range(signal.count):
                with suppress(RunEnded, RunNotFound):
                    handle.signal(signal.name, signal.value, once=f"{signal.name}-{number}")

    def _stuck(self) -> str:
        left = [s for s in stories(self.fleet.history).values() if not s.ended]
        shown = "\n".join(f"{s.pipeline} {s.run} {s.told[-4:]}" for s in left[:8])
        return f"seed {SEED}, {len(left)} runs stuck: {shown}\n{Inventory(self.fleet.engine.store)}"


def test_every_kind_in_every_kind_survives_kills(fleet: Fleet) -> None:
    made = all_pairs(SEED)
    assert len(made) == len(KINDS) ** 2
    play = Play(fleet, made, SEED)
    play.begin(made)
    play.hire(2)
    for share in (0.1, 0.3, 0.5):
        play.await_effects(int(share * EFFECTS_A_PAIR * len(made)))
        play.kill_one()
    play.finish(40)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_thousand_random_nestings_survive_kills(fleet: Fleet) -> None:
    number = int(os.environ.get("CHAOS_NESTINGS", "1000"))
    made = random_nestings(SEED, number)
    play = Play(fleet, made, SEED)
    play.hire(2)
    chance = random.Random(SEED)
    wave = max(number // 25, 1)
    for at in range(0, number, wave):
        play.begin(made[at : at + wave])
        play.await_effects(len(fleet.ledger.read()) + chance.randint(1, wave))
        play.kill_one()
    assert play.kills >= 20
    play.finish(240)
