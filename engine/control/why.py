"""Why a run is not running now, and when it will: each message of it that has not ended.

Owns: the judgement and its words. The store tells where the messages are; they are found at the
positions that the plan allows, so a look costs the size of the plan and of what the run has open,
never the length of a queue. At most 2,000 positions are looked at; more is said so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.errors import RunNotFound
from engine.store.queues import Limits
from engine.store.runs import RunRecord
from engine.store.store import Store
from engine.store.whereabouts import Line, OpenJoin, Standing
from engine.workflow.names import RELAY_STAGE
from engine.workflow.nodes import ForkNode, JoinNode, WaitNode
from engine.workflow.plan import Plan
from engine.workflow.positions import node_of, possible

_SILENT_MS = 15_000
_SHOWN_MISSING = 10

AttemptsOf = Callable[[str], int | None]
"""Stage name -> the attempts its policy allows, or None where it is not known here."""


class Reason(NamedTuple):
    """Why one message, or one join, of the run is not running.

    Attributes:
        position: where in the plan.
        stage: its name; a built-in one begins with `~`.
        code: a stable word, see docs/run_control.md.
        told: the reason for people.
        until_ms: when it will run, as far as that is known (ms since 1970).
    """

    position: str
    stage: str
    code: str
    told: str
    until_ms: int | None = None


class Why(NamedTuple):
    """What a run does now.

    Attributes:
        state: of the run.
        told: the whole in one sentence.
        reasons: one for each of its messages and open joins; what runs comes first.
        cut: the run has more places than were looked at.
    """

    run: str
    state: str
    told: str
    reasons: list[Reason]
    cut: bool


def nobody_knows(_stage: str) -> int | None:
    """The `AttemptsOf` of a process without stages."""
    return None


def why(store: Store, run_id: str, *, attempts_of: AttemptsOf = nobody_knows) -> Why:
    """Returns why a run is not running now, and when it will.

    Args:
        store: Where it is.
        run_id: Its whole id.
        attempts_of: How many attempts a stage has, where that is known.

    Raises:
        RunNotFound: No such run is stored.
    """
    record = store.runs.read(run_id)
    if record is None:
        raise RunNotFound(run_id)
    plan = plan_of(store, record)
    places, cut = places_of(store, record.id, plan)
    if record.state == "failed":
        dead = [_dead(store, message, plan) for message in store.whereabouts.dead(run_id, places)]
        reasons = [*_waiting(store, record, plan, places, attempts_of), *dead]
    elif record.state == "running":
        reasons = _waiting(store, record, plan, places, attempts_of)
    else:
        reasons = []
    return Why(record.id, record.state, _in_short(record, reasons, cut=cut), reasons, cut)


def plan_of(store: Store, record: RunRecord) -> Plan:
    """Returns the plan that a run follows; raises RunNotFound if the store has lost it."""
    raw = store.runs.plan(record.plan)
    if raw is None:
        raise RunNotFound(record.id)
    return Plan.from_json(raw)


def places_of(store: Store, run_id: str, plan: Plan) -> tuple[list[str], bool]:
    """Returns the positions at which a run may have a message, and whether there are more."""
    _, eaches = store.whereabouts.opened(run_id)
    places, cut = possible(plan, {each.position: each.begun for each in eaches})
    return places, cut or any(each.cut for each in eaches)


def _waiting(
    store: Store, record: RunRecord, plan: Plan, places: list[str], attempts_of: AttemptsOf
) -> list[Reason]:
    now_ms = store.queues.now_ms()
    standings = store.whereabouts.standing(store.whereabouts.live(record.id, places))
    pairs = {(one.live.queue, one.live.tenant) for one in standings}
    lines = store.whereabouts.lines(pairs, alive_since_ms=now_ms - _SILENT_MS)
    limits = store.queues.limits() if standings else {}
    judge = _Judge(plan, record, lines, limits, attempts_of, now_ms)
    joins, _ = store.whereabouts.opened(record.id)
    reasons = [judge.message(one) for one in standings]
    reasons.sort(key=lambda one: one.code != "running")
    # A full join stays open for its successor, which takes its input from it.
    return [*reasons, *(_join(plan, join) for join in joins if not join.full)]


class _Judge:
    """Says of each message why it does not run."""

    def __init__(
        self,
        plan: Plan,
        record: RunRecord,
        lines: dict[tuple[str, str], Line],
        limits: dict[str, Limits],
        attempts_of: AttemptsOf,
        now_ms: int,
    ) -> None:
        self._plan, self._record, self._lines, self._limits = plan, record, lines, limits
        self._attempts_of, self._now_ms = attempts_of, now_ms

    def message(self, one: Standing) -> Reason:
        """The reason of one message; the first that holds is the one."""
        live = one.live
        stage = stage_at(self._plan, live.position)
        line = self._lines[live.queue, live.tenant]
        for judged in (self._leased(one), self._delayed(one, stage), *self._line(one, line)):
            if judged is not None:
                code, told, until_ms = judged
                return Reason(live.position, stage, code, told, until_ms)
        return Reason(live.position, stage, "moving", "it is being moved: look again")

    def _leased(self, one: Standing) -> _Judged | None:
        if one.consumer is None:
            return None
        _, host, pid, beat_ms = one.consumer
        ago_ms = max(self._now_ms - beat_ms, 0)
        progress = self._record.progress.get(one.live.position)
        told = f"attempt {one.live.attempt} is with process {pid} on {host}"
        told += f", which beat {ago_ms} ms ago" + (f"; progress {progress}" if progress else "")
        if ago_ms > _SILENT_MS:
            told += "; it is silent, and the next beat of a live worker takes the work back"
            return "silent", told, None
        return "running", told, None

    def _delayed(self, one: Standing, stage: str) -> _Judged | None:
        if not one.delayed:
            return None
        due_ms = one.live.due_at_ms
        if one.unknown_at_ms is not None:
            return "unknown_stage", f"no worker that took it knows the stage {stage!r}", due_ms
        if one.live.attempt > 1:
            most = self._attempts_of(stage)
            which = f"attempt {one.live.attempt}{f' of {most}' if most else ''}"
            return "retry", f"{which} is due, after {_failure(one.last_error)}", due_ms
        if stage == RELAY_STAGE:
            return "asleep", "the pipeline sleeps", due_ms
        if isinstance(self._plan.nodes[node_of(one.live.position)], WaitNode):
            return (
                "signal",
                f"it waits for the signal {stage!r}, or for its time to be over",
                due_ms,
            )
        return "delayed", "it was started with a delay, or its stage put itself off", due_ms

    def _line(self, one: Standing, line: Line) -> Iterator[_Judged | None]:
        """What holds up the line that a message stands in."""
        queue = one.live.queue
        if line.paused:
            yield "queue_paused", f"queue {queue!r} is paused: callboard resume {queue}", None
        if not line.consumers:
            told = f"no worker serves queue {queue!r}: callboard worker -Q {queue}"
            yield "no_worker", told, None
        if one.suspect:
            proven = f", after {one.live.stalls} proven deaths" if one.live.stalls else ""
            yield "suspect", f"its process died; it waits to run alone{proven}", None
        if one.ahead is not None:
            yield self._limited(one, line)
            yield self._turn(one, line)

    def _limited(self, one: Standing, line: Line) -> _Judged | None:
        queue, tenant = one.live.queue, one.live.tenant
        limits = self._limits.get(tenant) or self._limits.get("*") or Limits()
        if limits.paused:
            return "tenant_paused", f"tenant {tenant!r} is paused", None
        if line.token_at_ms is not None:
            told = f"tenant {tenant!r} has begun its {limits.max_per_minute} attempts a minute"
            return "tenant_rate", told, line.token_at_ms
        if line.parked:
            told = f"tenant {tenant!r} has its {limits.max_concurrent} attempts at once"
            return "tenant_slot", f"{told} ({line.tenant_leased} now)", None
        if line.limit is not None and line.leased >= line.limit:
            told = f"queue {queue!r} runs {line.leased} at once, its limit is {line.limit}"
            return "queue_limit", told, None
        return None

    def _turn(self, one: Standing, line: Line) -> _Judged:
        told = f"{one.ahead:,} messages of tenant {one.live.tenant!r} go before it"
        if line.turn:
            told += f", and the turns of {line.turn:,} other tenants"
        told += f"; queue {one.live.queue!r} has {line.consumers} workers and runs {line.leased:,}"
        return "turn", told, None


_Judged = tuple[str, str, int | None]


def stage_at(plan: Plan, position: str) -> str:
    """Returns the name of what stands at a position: a stage, a signal, or the kind of node."""
    node = plan.nodes[node_of(position)]
    undo = getattr(node, "undo", None)
    if position.startswith("~") and undo is not None:
        return str(undo.stage)
    name = getattr(node, "stage", None) or getattr(node, "name", None)
    return str(name or type(node).__name__.removesuffix("Node").lower())


def _failure(raw: bytes | None) -> str:
    try:
        story = json.loads(raw) if raw else {}
    except ValueError:
        story = {}
    kind, message = story.get("type", ""), str(story.get("message", "")).split("\n")[0][:200]
    return f"{kind}: {message}".strip(": ") or "a failure"


def _join(plan: Plan, join: OpenJoin) -> Reason:
    number = node_of(join.position)
    node = plan.nodes[number]
    after = stage_at(plan, str(node.next)) if isinstance(node, JoinNode) else "join"
    if join.members < 0:
        told = f"waits for the pages that are still read, and has {join.arrived:,} results"
        return Reason(join.position, after, "join", told)
    told = f"waits for {join.members - join.arrived:,} of {join.members:,} results"
    forks = [one for one in plan.nodes if isinstance(one, ForkNode) and one.join == number]
    for fork in forks:
        names = [stage_at(plan, str(fork.branches[member])) for member in join.missing]
        told += f": {', '.join(names)}"
    if join.missing and not forks:
        listed = ", ".join(str(member) for member in join.missing[:_SHOWN_MISSING])
        more = join.members - join.arrived - min(len(join.missing), _SHOWN_MISSING)
        told += f": items {listed}{f' and {more:,} more' if more > 0 else ''}"
    return Reason(join.position, after, "join", told)


def _dead(store: Store, message: str, plan: Plan) -> Reason:
    position = message.partition(":")[2]
    letter = store.letters.read(message)
    reason = letter.reason if letter else "redriven meanwhile"
    told = f"dead after attempt {letter.attempt if letter else '?'}, {reason}: "
    told += f"{_failure(letter.story if letter else None)}: callboard retry {message[:32]}"
    return Reason(position, stage_at(plan, position), "dead", told)


def _in_short(record: RunRecord, reasons: list[Reason], *, cut: bool) -> str:
    if record.state in {"completed", "cancelled"}:
        return f"it is over: {record.state}"
    running = sum(one.code == "running" for one in reasons)
    if record.state == "failed":
        dead = sum(one.code == "dead" for one in reasons)
        return (
            f"it has failed: {dead} dead letters hold it"
            if dead
            else ("it has failed, and its dead letters are gone: replay it")
        )
    if running:
        return f"it is running: {running} of its stages are at work"
    if not reasons:
        more = "; more places than 2,000 are possible" if cut else ""
        return f"nothing of it was found at any place its plan has: look again{more}"
    known = [one.until_ms for one in reasons if one.until_ms is not None]
    first = next((one for one in reasons if one.code != "join"), reasons[0])
    if known and first.until_ms is None:
        first = min((one for one in reasons if one.until_ms), key=lambda one: one.until_ms or 0)
    return f"it is not running: {first.told}"
