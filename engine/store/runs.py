"""Runs as the store knows them: state, result, stages, waiting for the end, cancelling, plans.

The room reads and signals; starting and ending runs are scripts of `transit`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

from engine.store.connection import Links
from engine.store.entries import unpack

# The longest a single BLPOP lasts: the state is read again after it.
_LOOK_AGAIN_MS = 5_000
_RESULTS_AT_ONCE = 1_000
_UNDER_WAY = (b"running", b"undoing")


class StageRecord(NamedTuple):
    """One stage of a run that has ended at least one attempt."""

    position: str
    stage: str
    state: str
    attempt: int
    ended_at_ms: int
    wait_ms: int
    run_ms: int


class Standing(NamedTuple):
    """What of a running run waits or runs now.

    `open` is by position the number of failed attempts (at most 20) of each message that exists,
    `joins` by position who has come and how many will; -1 while nobody knows.
    """

    open: dict[str, int]
    joins: dict[str, tuple[int, int]]


class RunHead(NamedTuple):
    """What there is to know of a run without its stages."""

    state: str
    pipeline: str
    plan: str
    started_at_ms: int
    ended_at_ms: int | None


class RunRecord(NamedTuple):
    """A run as stored; times in ms of the server's clock.

    Attributes:
        key: the caller's idempotency key.
        stages: those that have ended, in that order.
        attributes: what the caller gave to find it by, as text.
        progress: position to what the stage there said last, such as `3/10`.
        replay_of: the run whose results it reuses.
    """

    id: str
    pipeline: str
    plan: str
    tenant: str
    state: str
    key: str | None
    started_at_ms: int
    ended_at_ms: int | None
    stages: list[StageRecord]
    attributes: dict[str, str]
    progress: dict[str, str]
    replay_of: str | None


class Kept(NamedTuple):
    """What is kept of a run to replay it: its input, retention (ms) and results by position."""

    input: bytes | None
    keep_ms: int
    results: dict[str, bytes]


class Runs:
    """The runs of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self._plans: set[str] = set()

    def state(self, run: str) -> tuple[str | None, bytes | None]:
        """The run's state and, once completed, its result; (None, None) for an unknown run."""
        # A plain read: it is answered where the server takes no writes.
        name = self.links.keys.name("run", run=run)
        state, result = self.links.command("HMGET", name, "state", "result")
        return (state.decode() if state else None), result

    def states(self, runs: list[str]) -> list[str | None]:
        """The states of many runs in one exchange; None for an unknown one."""
        names = [self.links.keys.name("run", run=run) for run in runs]
        return [
            state.decode() if state else None
            for state in self.links.commands([("HGET", name, "state") for name in names])
        ]

    def wait(self, run: str, timeout_ms: int) -> str | None:
        """Waits for the end without polling; returns the state then, ended or not."""
        if timeout_ms <= 0:
            return self.state(run)[0]
        deadline = time.monotonic() + timeout_ms / 1000
        waiter = uuid4().hex
        name = self.links.keys.name("waiter", waiter=waiter)
        link = self.links.take()
        try:
            while True:
                left_ms = int((deadline - time.monotonic()) * 1000)
                state, _ = link.call(
                    "wait", [run, waiter if left_ms > 0 else "", max(left_ms, 0) + 60_000]
                )
                if state not in _UNDER_WAY or left_ms <= 0:
                    return state.decode() if state else None
                link.pop([name], min(left_ms, _LOOK_AGAIN_MS))
        finally:
            self.links.give(link)

    def cancel(self, run: str, *, undo: bool = False) -> str | None:
        """Cancels a run; returns the state it had (`running`: cancelled now), None if unknown.

        With `undo`, what its completed stages did is undone first.
        """
        state = self.links.call("cancel", [run, int(undo)])
        return state.decode() if state else None

    def given_up(self, runs: list[str]) -> frozenset[str]:
        """Those that are cancelled and were not undone."""
        name = self.links.keys.name
        asked = [("HMGET", name("run", run=run), "state", "undone") for run in runs]
        found = zip(runs, self.links.commands(asked), strict=True)
        return frozenset(
            run for run, (state, undone) in found if state == b"cancelled" and not undone
        )

    def signal(self, run: str, name: str, value: bytes, *, once: str | None = None) -> str | None:
        """Sends a JSON value to a run; returns the script's verdict, None for an unknown run."""
        verdict = self.links.call("signal", [run, name, value, once or ""])
        return verdict.decode() if verdict else None

    def pause(self, run: str) -> str | None:
        """Holds a run; returns the script's verdict, None for an unknown run."""
        verdict = self.links.call("pause_run", [run])
        return verdict.decode() if verdict else None

    def resume(self, run: str) -> str | None:
        """Lets a held run go on; returns the script's verdict, None for an unknown run."""
        verdict = self.links.call("resume_run", [run])
        return verdict.decode() if verdict else None

    def read(self, run: str) -> RunRecord | None:
        """One run with its stages; None if it is unknown or past its retention."""
        return self.read_many([run])[0]

    def read_many(self, runs: list[str]) -> list[RunRecord | None]:
        """Several runs in one write; None for those that are gone."""
        if not runs:
            return []
        keys = self.links.keys
        *replies, attributes = self.links.commands(
            [
                *(("HGETALL", keys.name("run", run=run)) for run in runs),
                ("HMGET", keys.name("attributes"), *runs),
            ]
        )
        return [
            _record(run, _pairs(reply), told)
            for run, reply, told in zip(runs, replies, attributes, strict=True)
        ]

    def standing(self, run: str, messages: list[str], joins: list[str]) -> Standing:
        """Says which messages and joins of a run, by position, exist now; one exchange."""
        keys = self.links.keys
        asked: list[tuple[str, ...]] = []
        for position in messages:
            message = f"{run}:{position}"
            asked.append(("HEXISTS", keys.name("messages"), message))
            asked.append(("LLEN", keys.name("errors", message=message)))
        for position in joins:
            name = keys.name("join", run=run, position=position)
            asked.append(("HMGET", name, "arrived", "members"))
        replies = self.links.commands(asked) if asked else []
        known, counts = replies[: 2 * len(messages)], replies[2 * len(messages) :]
        found = zip(messages, known[::2], known[1::2], strict=True)
        waiting = zip(joins, counts, strict=True)
        return Standing(
            {position: int(failed) for position, exists, failed in found if exists},
            {at: (int(came or 0), int(members)) for at, (came, members) in waiting if members},
        )

    def heads(self, runs: list[str]) -> list[RunHead | None]:
        """The heads of many runs in one exchange; None for one that is gone."""
        fields = ("state", "pipeline", "plan", "started", "ended")
        names = [self.links.keys.name("run", run=run) for run in runs]
        replies = self.links.commands([("HMGET", name, *fields) for name in names])
        return [_head(reply) for reply in replies]

    def newest(self, *, before_ms: int | None = None, at_most: int = 100) -> list[str]:
        """Run ids, newest first."""
        top = "+inf" if before_ms is None else f"({before_ms}"
        found = self.links.command(
            "ZRANGE",
            self.links.keys.name("runs"),
            top,
            "-inf",
            "BYSCORE",
            "REV",
            "LIMIT",
            0,
            at_most,
        )
        return [run.decode() for run in found]

    def all(self, page: int = 500) -> Iterator[str]:
        """Every run in the index, newest first."""
        for runs in self.pages(page):
            yield from runs

    def pages(self, page: int = 500) -> Iterator[list[str]]:
        """Every run in the index, newest first, page by page.

        None that stays is missed or repeated, whatever is started or pruned meanwhile.
        """
        top, seen = "+inf", set[bytes]()  # the lowest start time so far, and who has it
        while found := self._from(top, page + len(seen)):
            fresh = [(run, started) for run, started in found if run not in seen]
            if not fresh:
                return
            yield [run.decode() for run, _ in fresh]
            last = fresh[-1][1]
            same = {run for run, started in fresh if started == last}
            seen = same | seen if last == top else same
            top = last

    def _from(self, top: str, at_most: int) -> list[tuple[bytes, str]]:
        """Runs by start time from `top` down, each with that time."""
        name = self.links.keys.name("runs")
        order = ("BYSCORE", "REV", "LIMIT", 0, at_most, "WITHSCORES")
        found = self.links.command("ZRANGE", name, top, "-inf", *order)
        return [(run, f"{float(started):.0f}") for run, started in _scored(found)]

    def forget(self, runs: list[str]) -> int:
        """Takes ended runs away, at most 50; those that something still needs stay.

        Returns:
            How many went.
        """
        return int(self.links.call("forget", runs))

    def progress(self, run: str, position: str, done: float, total: float | None) -> None:
        """Notes how far a stage is; shown with the run."""
        name = self.links.keys.name("run", run=run)
        if self.links.command("EXISTS", name):
            self.links.command(
                "HSET", name, f"p:{position}", f"{done:g}/{'?' if total is None else f'{total:g}'}"
            )

    def kept(self, run: str) -> Kept:
        """What is kept of a run's payloads."""
        reply = self.links.command("HGETALL", self.links.keys.name("run", run=run))
        fields = dict(zip(reply[::2], reply[1::2], strict=True))
        return Kept(
            fields.get(b"input"),
            int(fields.get(b"keep", 0)),
            {name[2:].decode(): raw for name, raw in fields.items() if name.startswith(b"r:")},
        )

    def output(self, run: str, position: str) -> bytes | None:
        """The kept result of one stage of a run, as JSON."""
        found: bytes | None = self.links.command(
            "HGET", self.links.keys.name("run", run=run), f"r:{position}"
        )
        return found

    def results(self, run: str, join: str, members: int) -> list[bytes | None]:
        """The results of a join's members, in order; None where one is gone.

        They are read in slices, so that the server has time for others in between.
        """
        name = self.links.keys.name("join", run=run, position=join)
        found: list[bytes | None] = []
        for low in range(0, members, _RESULTS_AT_ONCE):
            slice_of = range(low, min(low + _RESULTS_AT_ONCE, members))
            found += self.links.command("HMGET", name, *slice_of)
        return found

    def prune(
        self, *, started_before_ms: int, cancelled_before_ms: int, at_most: int = 500
    ) -> tuple[int, int]:
        """Takes runs that are gone out of the index; returns (looked at, taken out)."""
        looked = gone = 0
        while True:
            # What is still there is passed over by its rank: it must not hide what lies behind.
            arguments = [started_before_ms, at_most, cancelled_before_ms, looked - gone]
            seen, taken = self.links.call("prune", arguments)
            looked, gone = looked + seen, gone + taken
            if seen < at_most:
                return looked, gone

    def put_plan(self, plan: str, body: bytes) -> None:
        """Stores a plan under its hash; once a process unless `forget_plan` was called."""
        if plan not in self._plans:
            self.links.command("SET", self.links.keys.name("plan", hash=plan), body)
            self._plans.add(plan)

    def forget_plan(self, plan: str) -> None:
        """The server has lost a plan: the next `put_plan` stores it again."""
        self._plans.discard(plan)

    def plan(self, plan: str) -> bytes | None:
        """A stored plan's JSON, or None."""
        found: bytes | None = self.links.command("GET", self.links.keys.name("plan", hash=plan))
        return found


def _scored(reply: list[Any]) -> Iterator[Any]:
    """Members with their scores: pairs in RESP3, one after the other in RESP2."""
    if reply and isinstance(reply[0], bytes):
        return zip(reply[::2], reply[1::2], strict=True)
    return iter(reply)


def _pairs(reply: object) -> dict[str, str]:
    if isinstance(reply, dict):
        return {key.decode(): value.decode() for key, value in reply.items()}
    assert isinstance(reply, list)
    return {reply[i].decode(): reply[i + 1].decode() for i in range(0, len(reply), 2)}


def _record(run: str, fields: dict[str, str], attributes: bytes | None) -> RunRecord | None:
    if not fields:
        return None
    told = [word.partition("=") for word in unpack(attributes)] if attributes else []
    stages = [_stage(name[2:], value) for name, value in fields.items() if name.startswith("s:")]
    ended = fields.get("ended")
    return RunRecord(
        run,
        fields.get("pipeline", ""),
        fields.get("plan", ""),
        fields.get("tenant", ""),
        fields.get("state", ""),
        fields.get("key"),
        int(fields.get("started", 0)),
        int(ended) if ended else None,
        sorted(stages, key=lambda stage: stage.ended_at_ms),
        {name: value for name, _, value in told},
        {name[2:]: value for name, value in fields.items() if name.startswith("p:")},
        fields.get("replay_of"),
    )


def _head(reply: list[bytes | None]) -> RunHead | None:
    if reply[0] is None:
        return None
    state, pipeline, plan, started, ended = (part.decode() if part else "" for part in reply)
    return RunHead(state, pipeline, plan, int(started or 0), int(ended) if ended else None)


def _stage(position: str, value: str) -> StageRecord:
    attempt, ended, wait, took, state, stage = value.split(" ", 5)
    return StageRecord(position, stage, state, int(attempt), int(ended), int(wait), int(took))
