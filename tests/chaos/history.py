"""The history of a chaos test, and the checker that says whether a sound system could have it.

Owns: what producers were promised, what the event stream tells, what the ledger of side effects
shows, an inventory of the store, and the rules that connect them (FIELD §4 in words):

- every accepted submit is live or ended;
- one committed completion a (run, position), one end a run, one run an idempotency key;
- no delivery has two effects; effects are completions where nobody was killed and nothing was lost;
- no lease without a live holder, every message in exactly one place, and the counters agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from engine.bootstrap import Engine
from engine.store.events import EventRecord
from tests.chaos.eventually import eventually
from tests.chaos.inventory import Inventory
from tests.chaos.ledger import Ledger

ENDS = ("run.completed", "run.failed", "run.cancelled")


class History:
    """What happened in one namespace."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self.engine = engine
        self.ledger = ledger
        self.submits: dict[str, str | None] = {}
        self.keys: dict[str, set[str]] = {}
        self._events: list[EventRecord] = []

    # -- what producers were promised

    def accepted(self, runs: Iterable[Any], key: str | None = None) -> None:
        """Note the runs that a send has accepted."""
        for run in runs:
            self.submits[run.id] = key
            if key is not None:
                self.keys.setdefault(key, set()).add(run.id)

    # -- what was told

    def events(self) -> list[EventRecord]:
        """Every event so far, oldest first; reads only what is new."""
        last = self._events[-1].entry if self._events else "0"
        while found := self.engine.store.events.after(last, at_most=2_000):
            self._events += found
            last = found[-1].entry
        return self._events

    def forget_events(self) -> None:
        """The server came back with an older past: read the stream anew."""
        self._events = []

    def told(self, event: str, **facts: str) -> list[dict[str, str]]:
        """The facts of all events of a name that match."""
        return [
            record.facts
            for record in self.events()
            if record.facts["event"] == event and facts.items() <= record.facts.items()
        ]

    def states(self) -> Counter[str]:
        """How many accepted runs are in which state; `gone` for those the store does not know."""
        runs = list(self.submits)
        records = [
            r
            for at in range(0, len(runs), 500)
            for r in self.engine.store.runs.read_many(runs[at : at + 500])
        ]
        return Counter(record.state if record else "gone" for record in records)

    def wait_ended(self, within: float) -> Counter[str]:
        """Wait until every accepted run has ended, and give the states."""

        def ended() -> Counter[str] | None:
            states = self.states()
            return states if not states["running"] else None

        return eventually(
            ended,
            within,
            lambda: f"{dict(self.states())}; {Inventory(self.engine.store)}",
            every=0.1,
        )

    # -- the checker

    def check(self, *, gentle: bool, lossy: bool = False, failed: int = 0, live: int = 0) -> None:
        """Hold the history against the rules.

        Args:
            gentle: Nobody was killed and nothing was lost: effects are exactly completions.
            lossy: The server may have lost its last seconds: accepted runs may be gone.
            failed: How many runs were meant to fail.
            live: How many runs may still be running.
        """
        states = self.states()
        assert lossy or not states["gone"], f"lost: {dict(states)}"
        assert states["running"] == live, f"stuck: {dict(states)}; {Inventory(self.engine.store)}"
        assert states["failed"] == failed, f"failed: {dict(states)}; {self.told('stage.died')[:5]}"
        self._check_transitions()
        self._check_effects(gentle=gentle, lossy=lossy)
        if not live:
            self.check_store()

    def _check_transitions(self) -> None:
        done = Counter((e["run"], e["position"]) for e in self.told("stage.completed"))
        twice = {place: n for place, n in done.items() if n > 1}
        assert not twice, f"completed more than once: {twice}"
        redriven = {e["message"].partition(":")[0] for e in self.told("letter.redriven")}
        ends = Counter(e.facts["run"] for e in self.events() if e.facts["event"] in ENDS)
        twice = {run: n for run, n in ends.items() if n > 1 and run not in redriven}
        assert not twice, f"ended more than once: {twice}"
        twice = {key: runs for key, runs in self.keys.items() if len(runs) > 1}
        assert not twice, f"keys with several runs: {twice}"

    def _check_effects(self, *, gentle: bool, lossy: bool) -> None:
        effects = self.ledger.read()
        deliveries = Counter((e.run, e.stage, e.item, e.token) for e in effects if e.token)
        twice = {delivery: n for delivery, n in deliveries.items() if n > 1}
        assert lossy or not twice, f"deliveries with several effects: {twice}"
        done = Counter((e["run"], e["stage"]) for e in self.told("stage.completed"))
        seen = Counter((e.run, e.stage) for e in effects if e.token and e.item != "begun")
        unseen = {place: n for place, n in done.items() if place in seen and seen[place] < n}
        assert not unseen, f"completed without an effect: {unseen}"
        if gentle:
            failed = {(e["run"], e["stage"]) for e in self.told("stage.died")}
            more = {
                place: n for place, n in seen.items() if n != done[place] and place not in failed
            }
            assert not more, f"effects that are not completions: {more}"

    def check_store(self, within: float = 15.0) -> None:
        """Nothing is left over, no lease is without a living holder, all counters agree."""
        found = Inventory(self.engine.store)

        def sound() -> bool:
            found.take()
            return not found.faults()

        eventually(sound, within, found.faults)
