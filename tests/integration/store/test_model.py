"""The scripts against a plain model: sent, fetched, ended, killed and repeated in any order.

The model says where each message is and what state each run has. Set CALLBOARD_MODEL_EXAMPLES for a
longer run than the default of a few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.errors import ScriptRefused
from engine.store.entries import Delivery
from engine.store.queues import Limits
from tests.integration.store.audit import audit
from tests.integration.store.stand import Hand, Stand, arrive, each, end, fork, new_run, one

EXAMPLES = int(os.environ.get("CALLBOARD_MODEL_EXAMPLES", "25"))
STEPS = int(os.environ.get("CALLBOARD_MODEL_STEPS", "40"))
QUEUES, TENANTS, HANDS = ("q", "p"), ("a", "b", "c"), ("h1", "h2", "h3")
JOIN = "9"


@dataclass
class Run:
    """A run as the model knows it; `shape` is chain, fork or each, of `size` stages."""

    id: str
    shape: str
    size: int
    queue: str
    tenant: str
    state: str = "running"
    arrived: set[int] = field(default_factory=set)
    sent_items: int = 0
    held: bool = False


@dataclass
class Message:
    """A message as the model knows it."""

    id: str
    queue: str
    tenant: str
    place: str
    kind: str = "d"
    run: Run | None = None
    attempt: int = 1
    stalls: int | None = None
    allowed: int = 1
    due: tuple[int, int] = (0, 0)  # no earlier, no later
    alone: bool = False

    @property
    def position(self) -> str:
        return self.id[33:]

    @property
    def held(self) -> bool:
        return self.run is not None and self.run.held

    @property
    def doomed(self) -> bool:
        return self.run is not None and self.run.state == "cancelled"


class Machine(RuleBasedStateMachine):
    """Drives one namespace and the model side by side."""

    client: redis.Redis

    @initialize()
    def begin(self) -> None:
        self.stand = Stand(self.client)
        self.messages: dict[str, Message] = {}
        self.runs: dict[str, Run] = {}
        self.paused: set[str] = set()
        self.limits: dict[str, int] = {}
        self.made = 0
        self.alive: dict[str, Hand] = {}
        self.silent: dict[str, Hand] = {}
        self.beat_at: dict[str, int] = {}
        self.reaped: list[tuple[Hand, Delivery]] = []
        for name in HANDS[:2]:
            self.enlist(name)

    def teardown(self) -> None:
        if hasattr(self, "stand"):
            self.stand.clear()

    # -- helpers of the model

    def enlist(self, name: str) -> None:
        self.alive[name] = self.stand.hand(f"{name}-{self.made}", QUEUES)
        self.made += 1
        self.beat_at[self.alive[name].name] = self.stand.now_ms()

    def at(self, place: str) -> list[Message]:
        return [m for m in self.messages.values() if m.place == place]

    def leased(self, tenant: str) -> int:
        return sum(
            m.place.startswith("leased") and m.tenant == tenant for m in self.messages.values()
        )

    def put(self, run: Run, position: str, kind: str) -> None:
        message = Message(f"{run.id}:{position}", run.queue, run.tenant, "waiting", kind, run)
        assert message.id not in self.messages, "sent twice"
        self.messages[message.id] = message

    def end_run(self, run: Run, state: str) -> None:
        """A run that has ended is held no more."""
        run.state = state
        self.let_go(run)

    def let_go(self, run: Run) -> None:
        run.held = False
        for m in self.at("aside"):
            if m.run is run:
                m.place = "waiting" if m.stalls is None else "suspect"

    def follow(self, message: Message) -> list[tuple[Any, ...]]:
        """The edges behind a stage that is done, and what they do to the model."""
        run = message.run
        assert run is not None
        if message.position == JOIN or (
            run.shape == "chain" and int(message.position) == run.size - 1
        ):
            self.end_run(run, "completed")
            return [end()]
        if run.shape == "chain":
            following = str(int(message.position) + 1)
            self.put(run, following, "s")
            return [one(following, run.queue)]
        number = int(message.position.rpartition(".")[2])
        run.arrived.add(number)
        if run.shape == "each" and run.sent_items < run.size:
            self.put(run, f"0.{run.sent_items}", "e")
            run.sent_items += 1
        if len(run.arrived) == run.size:
            self.put(run, JOIN, "j")
        return [arrive(JOIN, number, str(number).encode())]

    # -- work comes in

    @rule(
        queue=st.sampled_from(QUEUES),
        tenant=st.sampled_from(TENANTS),
        number=st.integers(1, 4),
        delay=st.sampled_from([0, 0, 4_000]),
        allowed=st.integers(0, 1),
    )
    def send(self, queue: str, tenant: str, number: int, delay: int, allowed: int) -> None:
        messages = [
            self.stand.message(queue, tenant, delay_ms=delay, allowed=allowed)
            for _ in range(number)
        ]
        before = self.stand.now_ms()
        for _ in range(2):  # the reply was lost: once more
            verdicts = self.stand.store.transit.enqueue(messages[0].id, messages)
            assert verdicts == ["enqueued"] * number
        due = (before + delay, self.stand.now_ms() + delay + 1)
        for m in messages:
            place = "delayed" if delay else "waiting"
            self.messages[m.id] = Message(m.id, queue, tenant, place, allowed=allowed, due=due)

    @rule(
        queue=st.sampled_from(QUEUES),
        tenant=st.sampled_from(TENANTS),
        shape=st.sampled_from(["chain", "fork", "each"]),
        size=st.integers(1, 4),
        window=st.integers(1, 3),
    )
    def start(self, queue: str, tenant: str, shape: str, size: int, window: int) -> None:
        run = Run(new_run(), shape, size, queue, tenant)
        self.runs[run.id] = run
        if shape == "chain":
            edges = [one("0", queue)]
            self.put(run, "0", "s")
        elif shape == "fork":
            edges = fork(*map(str, range(size)), then=JOIN, queue=queue)
            for i in range(size):
                self.put(run, str(i), "s")
        else:
            edges = [each("0", [str(i).encode() for i in range(size)], window, JOIN, queue)]
            run.sent_items = min(window, size)
            for i in range(run.sent_items):
                self.put(run, f"0.{i}", "e")
        packed = [self.stand.beginning(edges, run=run.id, tenant=tenant).packed()]
        assert self.stand.store.transit.start(packed) == [None]
        assert self.stand.store.transit.start(packed) == [None]

    # -- work is done

    @rule(name=st.sampled_from(HANDS), wanted=st.integers(1, 6), again=st.booleans())
    def fetch(self, name: str, wanted: int, again: bool) -> None:
        hand = self.alive.get(name)
        if hand is None or any(
            m.alone and m.place == f"leased by {hand.name}" for m in self.messages.values()
        ):
            return
        batch = hand.fetch(wanted)
        assert len(batch.deliveries) <= wanted
        for delivery in batch.deliveries:
            self.check_delivery(hand, delivery, alone=batch.suspects_wait)
        for queue_limit in self.limits.items():
            assert self.leased(queue_limit[0]) <= queue_limit[1] + self.lone(queue_limit[0])
        if not batch.suspects_wait and not batch.more and len(batch.deliveries) < wanted:
            left = [m.id for m in self.at("waiting") if self.runnable(m)]
            assert not left, f"{left} could have run"
        if again:
            assert sorted(hand.fetch(wanted, again=True).deliveries) == sorted(batch.deliveries)

    def lone(self, tenant: str) -> int:
        """Suspects run beyond the limits; leases from before a limit stay."""
        return self.over.get(tenant, 0) + sum(
            m.alone and m.place.startswith("leased") and m.tenant == tenant
            for m in self.messages.values()
        )

    @property
    def over(self) -> dict[str, int]:
        return self.__dict__.setdefault("_over", {})

    def runnable(self, m: Message) -> bool:
        limit = self.limits.get(m.tenant)
        return (
            not m.doomed
            and not m.held
            and m.queue not in self.paused
            and (limit is None or self.leased(m.tenant) < limit)
        )

    def check_delivery(self, hand: Hand, delivery: Delivery, *, alone: bool) -> None:
        m = self.messages[delivery.id]
        assert not m.doomed
        assert not m.held
        assert m.queue not in self.paused
        if m.place == "delayed":
            assert self.stand.now_ms() >= m.due[0]
        else:
            assert m.place == ("suspect" if alone else "waiting"), m
        assert (delivery.kind, delivery.attempt) == (m.kind, m.attempt)
        assert (delivery.queue, delivery.tenant) == (m.queue, m.tenant)
        if m.kind == "j":
            assert delivery.inputs == [str(i).encode() for i in range(m.run.size)]
        if m.kind == "e":
            assert delivery.inputs == [b"{}", m.position.rpartition(".")[2].encode()]
        m.place, m.alone = f"leased by {hand.name}", alone

    @precondition(lambda self: any(hand.held for hand in self.alive.values()))
    @rule(data=st.data(), again=st.booleans())
    def commit(self, data: st.DataObject, again: bool) -> None:
        hand = data.draw(st.sampled_from([h for h in self.alive.values() if h.held]))
        chosen = data.draw(
            st.lists(st.sampled_from(sorted(hand.held)), min_size=1, max_size=4, unique=True)
        )
        verbs = [
            data.draw(
                st.sampled_from(["done", "done", "done", "retry", "dead", "release", "snooze"])
            )
            for _ in chosen
        ]
        endings, expected = [], []
        before = self.stand.now_ms()
        for message, verb in zip(chosen, verbs, strict=True):
            edges, verdict = self.settle(self.messages[message], verb, before)
            endings.append(hand.ending(message, verb, edges=edges, delay_ms=4_000))
            expected.append(verdict)
        assert hand.commit(*endings) == expected
        after = self.stand.now_ms() + 4_001
        for message in chosen:
            if message in self.messages:
                m = self.messages[message]
                m.due = (m.due[0], after)
        if again:
            was = self.stand.dump()
            assert hand.commit(*endings, again=True) == expected
            assert self.stand.dump() == was

    def settle(self, m: Message, verb: str, now: int) -> tuple[Sequence[tuple[Any, ...]], str]:
        """What an ending does to the model; returns its edges and its verdict."""
        edges: Sequence[tuple[Any, ...]] = ()
        m.alone = False
        if verb == "done":
            del self.messages[m.id]
            if m.doomed:
                return [], "refused:run_cancelled"
            if m.run:
                edges = self.follow(m)
            return edges, "committed"
        if verb == "dead":
            m.place = "dead"
            if m.run and m.run.state == "running":
                self.end_run(m.run, "failed")
        elif verb == "release":
            m.place = "waiting" if m.stalls is None else "suspect"
        else:
            m.place, m.stalls, m.due = "delayed", None, (now + 4_000, 0)
            m.attempt += verb == "retry"
        return edges, "committed"

    # -- what goes wrong

    @precondition(lambda self: len(self.alive) > 1)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        hand = self.alive.pop(name)
        self.silent[hand.name] = hand

    @rule(name=st.sampled_from(HANDS))
    def come_back(self, name: str) -> None:
        if name not in self.alive:
            self.enlist(name)

    @precondition(lambda self: self.reaped)
    @rule()
    def commit_late(self) -> None:
        hand, delivery = self.reaped.pop()
        was = self.stand.dump()
        assert hand.commit(hand.ending(delivery)) == ["stale"]
        assert self.stand.dump() == was
        with pytest.raises(ScriptRefused, match="GONE"):
            hand.fetch()

    @rule(seconds=st.sampled_from([1, 2, 4, 12]))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.stand.advance(1_000)
            for hand in self.alive.values():
                hand.beat()
                self.beat_at[hand.name] = self.stand.now_ms()
            self.bury_the_dead()

    @rule(seconds=st.integers(4, 100))
    def nobody_listens(self, seconds: int) -> None:
        self.stand.advance(seconds * 1_000)
        for hand in self.alive.values():
            hand.beat()
            self.beat_at[hand.name] = self.stand.now_ms()
        gone = self.silent.keys() - self.registered()
        assert not gone, "a silence is not a death while nobody was listening"

    def registered(self) -> set[str]:
        return {raw.decode() for raw in self.client.zrange(self.stand.key("consumers"), 0, -1)}

    def bury_the_dead(self) -> None:
        here = self.registered()
        assert {hand.name for hand in self.alive.values()} <= here
        for name in self.silent.keys() - here:
            hand = self.silent.pop(name)
            assert self.stand.now_ms() - self.beat_at[name] > 10_000
            self.reaped += [(hand, delivery) for delivery in hand.held.values()]
            for m in self.at(f"leased by {name}"):
                self.give_back(m)

    def give_back(self, m: Message) -> None:
        m.stalls = (m.stalls or 0) + m.alone
        m.alone = False
        if m.stalls > m.allowed:
            m.place = "dead"
            if m.run and m.run.state == "running":
                self.end_run(m.run, "failed")
        else:
            m.place = "suspect"

    # -- what people do

    @rule(queue=st.sampled_from(QUEUES))
    def pause_or_resume(self, queue: str) -> None:
        if queue in self.paused:
            assert self.stand.store.queues.resume(queue) is True
            self.paused.discard(queue)
        elif self.stand.store.queues.pause(queue):
            self.paused.add(queue)

    @rule(tenant=st.sampled_from(TENANTS), slots=st.sampled_from([None, 1, 2, 3]))
    def limit(self, tenant: str, slots: int | None) -> None:
        self.stand.store.queues.limit(
            tenant, None if slots is None else Limits(max_concurrent=slots)
        )
        self.limits.pop(tenant, None)
        if slots is not None:
            self.limits[tenant] = slots
        self.over[tenant] = max(self.leased(tenant) - (slots or 0), 0)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        held = sorted(run.id for run in self.runs.values() if run.held)
        run = self.runs[data.draw(st.sampled_from(held or sorted(self.runs)))]
        assert self.stand.store.runs.cancel(run.id) == run.state
        if run.state == "running":
            self.end_run(run, "cancelled")

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def hold_or_let_go(self, data: st.DataObject) -> None:
        run = self.runs[data.draw(st.sampled_from(sorted(self.runs)))]
        runs = self.stand.store.runs
        if run.held:
            assert (runs.pause(run.id), runs.resume(run.id)) == ("known", "resumed")
            self.let_go(run)
        else:
            assert runs.resume(run.id) == "known"
            run.held = run.state == "running"
            assert runs.pause(run.id) == ("paused" if run.held else run.state)
            for name in self.alive:  # whoever asks now sets its messages aside
                self.fetch(name, 6, again=False)

    @precondition(lambda self: self.at("dead"))
    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        m = data.draw(st.sampled_from(sorted(self.at("dead"), key=lambda m: m.id)))
        reply = self.stand.store.letters.redrive(m.id)
        if m.doomed:
            assert reply == "run_gone"
            return
        assert reply == "redriven"
        m.place, m.attempt, m.stalls = "waiting", 1, None
        if m.run and not any(other.run is m.run for other in self.at("dead")):
            m.run.state = "running"

    # -- and what holds at any time

    @invariant()
    def the_store_is_where_the_model_is(self) -> None:
        if not hasattr(self, "stand"):
            return
        found = audit(self.stand).place
        now = self.stand.now_ms()
        self.note_aside(now)
        for m in list(self.messages.values()):
            place = found.pop(m.id, None)
            if place is None and m.doomed:
                del self.messages[m.id]
            elif m.place == "delayed" and place == "waiting":
                assert now >= m.due[0], f"{m.id} was promoted early"
                m.place = "waiting"
            else:
                expected = "delayed" if m.place == "aside" else m.place
                assert place == expected, f"{m.id} is {place}, not {m.place}"
        assert not found, f"nobody sent {found}"
        for run in self.runs.values():
            assert self.stand.state(run.id) == run.state

    def note_aside(self, now: int) -> None:
        """What a fetch has met of runs that are held."""
        held = {raw.decode() for raw in self.client.hkeys(self.stand.key("held"))}
        assert held == {run.id for run in self.runs.values() if run.held}
        for run in self.runs.values():
            aside = {
                raw.decode() for raw in self.client.smembers(self.stand.key("paused", run=run.id))
            }
            assert run.held or not aside, "set aside for ever"
            for message in aside:
                m = self.messages[message]
                assert m.place in ("waiting", "suspect", "delayed", "aside"), m
                assert m.place != "delayed" or now >= m.due[0], f"{m.id} was promoted early"
                m.place = "aside"


def test_the_scripts_do_what_the_model_does(client: redis.Redis) -> None:
    machine = type("Machine", (Machine,), {"client": client})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
