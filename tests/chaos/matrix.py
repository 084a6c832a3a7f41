"""Generated pipelines: node kinds nested in each other, with what their runs must come to.

Owns: one builder a kind. Each wraps a part that takes and gives a number into a larger one, and
says beside the flow what can become of an input: a set of results, `None` in it for a failure. The
set has several members only where a race decides.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from engine import Pipeline, batch, choose, each, first, gather, repeat, sleep, wait_for
from tests.chaos import matrix_stages as stages

Outcomes = frozenset[int | None]
Ends = Callable[[int], Outcomes]
ROUNDS = 4
INPUTS_BELOW = 1_000
OUTCOMES_AT_MOST = 5_000


class TooManyWays(Exception):
    """A run could end in so many ways that comparing with them would be no check."""


class Signal(NamedTuple):
    """What the test sends each run of a pipeline, `count` times under one name."""

    name: str
    value: int
    count: int


class Part(NamedTuple):
    """A flow from a number to a number.

    Attributes:
        flow: as pipelines are written.
        ends: what can become of an input.
        signals: what its waits need.
        children: pipelines that run as children in it.
    """

    flow: Any
    ends: Ends
    signals: tuple[Signal, ...] = ()
    children: tuple[Made, ...] = ()

    def times(self, times: int) -> Part:
        """The same part where it runs up to so many times in one run."""
        signals = tuple(s._replace(count=s.count * times) for s in self.signals)
        return self._replace(signals=signals)


class Made(NamedTuple):
    """A pipeline, what it comes to, and the input that the test gives it."""

    pipeline: Pipeline
    part: Part
    number: int

    def family(self) -> dict[str, Made]:
        """It and its children to any depth, by name."""
        found = {self.pipeline.name: self}
        for child in self.part.children:
            found |= child.family()
        return found


class Maker:
    """Makes pipelines of one test from a seed.

    Args:
        seed: the same one makes the same pipelines.
        name: what their names begin with.
    """

    def __init__(self, seed: int, name: str) -> None:
        self.random = random.Random(seed)
        self._name = name
        self._numbers = itertools.count(1)

    def nested(self, *kinds: str) -> Made:
        """A pipeline of the first kind around the second, and so on; a stage is innermost."""
        part = self.leaf()
        for kind in reversed(kinds):
            part = KINDS[kind](self, part)
        return self.made("-".join(kinds), part)

    def made(self, what: str, part: Part) -> Made:
        """The part as a pipeline of its own."""
        pipeline = Pipeline(f"{self._name}-{next(self._numbers)}-{what}", part.flow)
        return Made(pipeline, part, self.random.randrange(INPUTS_BELOW))

    def leaf(self) -> Part:
        """A stage."""
        return self.random.choice([ADD, DOUBLE, LEAP])

    def side(self) -> Part:
        """A companion of another part: a stage or a few; some can be undone, some may die."""
        sides = [BOOK, chain(LEAP, BOOK, PAY), paused(DOUBLE, 60), chain(ADD, ONLY_EVEN, PAY)]
        return self.random.choice([*sides, self.leaf(), self.leaf()])

    def lead(self, part: Part) -> Part:
        """The part, mostly with a stage before it; what begins with a stage is built otherwise."""
        return part if self.random.random() < 0.3 else chain(ADD, part)

    def signal(self) -> Signal:
        """A signal of a name that no other wait has."""
        return Signal(f"go{next(self._numbers)}", self.random.randrange(100), 1)


# -- composing ---------------------------------------------------------------------------------


def of(flow: Any, number_of: Callable[[int], int]) -> Part:
    """A part that always succeeds."""
    return Part(flow, lambda number: frozenset([number_of(number)]))


ADD, DOUBLE = of(stages.add, stages.more), of(stages.double, stages.twice)
LEAP = of(stages.leap, stages.far)
DOOM = Part(stages.doom, lambda _: frozenset([None]))
ONLY_EVEN = Part(stages.only_even, lambda number: frozenset([None if number % 2 else number]))
BOOK = of(stages.book.undo(stages.unbook), stages.more)
PAY = of(stages.pay.undo(stages.unpay), stages.twice)


def with_needs(part: Part, *others: Part) -> Part:
    """The part with the signals and children of others too."""
    every = (part, *others)
    return part._replace(
        signals=tuple(signal for one in every for signal in one.signals),
        children=tuple(child for one in every for child in one.children),
    )


def chain(*parts: Part) -> Part:
    """One part after the other."""

    def ends(number: int) -> Outcomes:
        return reduce(_through, (part.ends for part in parts), frozenset([number]))

    return with_needs(Part(reduce(or_, (part.flow for part in parts)), ends), *parts)


def paused(part: Part, duration_ms: int) -> Part:
    """The part behind a pause."""
    return part._replace(flow=sleep(duration_ms) | part.flow)


def _through(numbers: Outcomes, ends: Ends) -> Outcomes:
    dead = frozenset([None]) if None in numbers else frozenset[None]()
    return _bounded(dead.union(*(ends(n) for n in numbers if n is not None)))


def _bounded(found: Outcomes) -> Outcomes:
    if len(found) > OUTCOMES_AT_MOST:
        raise TooManyWays
    return found


def _ways(parts: Iterable[Outcomes]) -> Iterable[tuple[int | None, ...]]:
    """Every way in which members may end together."""
    every = list(parts)
    size = reduce(lambda product, one: product * len(one), every, 1)
    if size > OUTCOMES_AT_MOST:
        raise TooManyWays
    return itertools.product(*every)


# -- the kinds ---------------------------------------------------------------------------------


def stage(make: Maker, body: Part) -> Part:
    return body


def sequence(make: Maker, body: Part) -> Part:
    return chain(make.leaf(), body, make.leaf())


def parallel(make: Maker, body: Part) -> Part:
    other = make.side()

    def ends(number: int) -> Outcomes:
        ways = _ways([body.ends(number), other.ends(number)])
        return frozenset(None if None in way else stages.folded(way) for way in ways)

    return with_needs(Part((body.flow & other.flow) | stages.fold, ends), body)


def _settled(value: int | None) -> dict[str, Any]:
    return {"ok": False} if value is None else {"ok": True, "value": value}


def gather_ended(make: Maker, body: Part) -> Part:
    members = [body, ONLY_EVEN, make.side()]

    def ends(number: int) -> Outcomes:
        ways = _ways(member.ends(number) for member in members)
        return frozenset(stages.folded([_settled(one) for one in way]) for way in ways)

    flow = gather(*(member.flow for member in members), need="ended") | stages.fold
    return make.lead(with_needs(Part(flow, ends), body))


def gather_some(make: Maker, body: Part) -> Part:
    members, need = [body, make.side(), DOOM], 2
    if make.random.random() < 0.5:
        members, need = [body, paused(make.side(), 150)], 1

    def ends(number: int) -> Outcomes:
        found: set[int | None] = set()
        for way in _ways(member.ends(number) for member in members):
            alive = [place for place, one in enumerate(way) if one is not None]
            for chosen in itertools.combinations(alive, need):
                found.add(stages.folded([way[i] if i in chosen else None for i in range(len(way))]))
            if len(alive) < need:
                found.add(None)
        return frozenset(found)

    flow = gather(*(member.flow for member in members), need=need) | stages.fold
    return make.lead(with_needs(Part(flow, ends), body))


def race(make: Maker, body: Part) -> Part:
    other = paused(make.leaf(), 150)

    def ends(number: int) -> Outcomes:
        # The other one always arrives, so the race itself never fails.
        return (body.ends(number) - {None}) | other.ends(number)

    loser = of(wait_for(make.signal().name, int), stages.more)
    if make.random.random() < 0.5:
        loser = child(make, chain(ADD, loser))
    members = [body.flow, other.flow, loser.flow]
    make.random.shuffle(members)
    return make.lead(with_needs(Part(first(*members), ends), body, loser))


def _mapped(
    make: Maker, body: Part, flow: Any, items: Callable[[int], list[int]], *, collect: bool = False
) -> Part:
    def ends(number: int) -> Outcomes:
        ways = _ways(body.ends(item) for item in items(number))
        if collect:
            return frozenset(stages.folded([_settled(one) for one in way]) for way in ways)
        return frozenset(None if None in way else stages.folded(way) for way in ways)

    many = body.times(len(items(0)))
    return with_needs(Part(flow | stages.fold, ends), many)


def mapped(make: Maker, body: Part) -> Part:
    flow = stages.spread | each(body.flow, window=make.random.choice([1, 2, 200]))
    return _mapped(make, body, flow, stages.items_of)


def collected(make: Maker, body: Part) -> Part:
    flow = stages.spread | each(
        body.flow, window=make.random.choice([1, 2, 200]), on_error="collect"
    )
    return _mapped(make, body, flow, stages.items_of, collect=True)


def pages(make: Maker, body: Part) -> Part:
    window = make.random.choice([1, 3, 200])
    flow = each(body.flow, window=window, pages=stages.read_page)
    return make.lead(_mapped(make, body, flow, stages.paged))


def chosen(make: Maker, body: Part) -> Part:
    other = make.leaf()

    def ends(number: int) -> Outcomes:
        return body.ends(number) if number % 2 == 0 else other.ends(number)

    if make.random.random() < 0.5:
        flow = choose(stages.parity, {"odd": other.flow, "even": body.flow})
    else:
        flow = choose(stages.parity, {"odd": other.flow}, otherwise=body.flow)
    part = with_needs(Part(flow, ends), body)
    return chain(DOUBLE, part) if make.random.random() < 0.7 else part


def looped(make: Maker, body: Part) -> Part:
    def ends(number: int) -> Outcomes:
        found: set[int | None] = set()
        numbers: Outcomes = frozenset([number])
        for _ in range(ROUNDS):
            numbers = _through(numbers, body.ends)
            found |= {one for one in numbers if one is None or one % 2 == 0}
            numbers = frozenset(one for one in numbers if one is not None and one % 2)
        return _bounded(frozenset(found | ({None} if numbers else set())))

    every = make.random.choice([None, "40ms"])
    flow = repeat(body.flow, until=stages.is_even, limit=ROUNDS, every=every)
    return make.lead(with_needs(Part(flow, ends), body.times(ROUNDS)))


def slept(make: Maker, body: Part) -> Part:
    return make.lead(paused(body, make.random.choice([80, 160, 320])))


def answered(make: Maker, body: Part) -> Part:
    signal = make.signal()
    timeout = make.random.choice([None, "10m"])
    wait = of(wait_for(signal.name, int, timeout=timeout), lambda _: signal.value)
    return make.lead(chain(wait._replace(signals=(signal,)), body))


def timed_out(make: Maker, body: Part) -> Part:
    name = make.signal().name
    if make.random.random() < 0.2:
        wait = Part(wait_for(name, int, timeout="120ms"), lambda _: frozenset([None]))
        return make.lead(chain(wait, body))
    flow = wait_for(name, int, timeout="120ms", otherwise=body.flow)
    return make.lead(body._replace(flow=flow))


def child(make: Maker, body: Part) -> Part:
    made = make.made("child", body)
    return make.lead(Part(made.pipeline, body.ends, (), (made,)))


def undone(make: Maker, body: Part) -> Part:
    return chain(BOOK, body, PAY, DOOM)


def undoable(make: Maker, body: Part) -> Part:
    return chain(BOOK, body, PAY)


def batched(make: Maker, body: Part) -> Part:
    many = of(batch(stages.together, size=4, within="60ms"), stages.far)
    return chain(many, body) if make.random.random() < 0.5 else chain(body, many)


KINDS: dict[str, Callable[[Maker, Part], Part]] = {
    "stage": stage,
    "sequence": sequence,
    "parallel": parallel,
    "ended": gather_ended,
    "some": gather_some,
    "first": race,
    "each": mapped,
    "collect": collected,
    "pages": pages,
    "choose": chosen,
    "repeat": looped,
    "sleep": slept,
    "wait": answered,
    "timeout": timed_out,
    "child": child,
    "undo": undone,
    "undoable": undoable,
    "batch": batched,
}


def all_pairs(seed: int) -> list[Made]:
    """Every kind in every kind, itself included."""
    make = Maker(seed, "pair")
    return [make.nested(outer, inner) for outer in KINDS for inner in KINDS]


def random_nestings(seed: int, number: int, depth: int = 3) -> list[Made]:
    """Kinds in kinds in kinds, up to a depth."""
    make = Maker(seed, "nest")
    kinds: Sequence[str] = list(KINDS)
    found: list[Made] = []
    while len(found) < number:
        one = make.nested(*make.random.choices(kinds, k=make.random.randint(1, depth)))
        with suppress(TooManyWays):
            one.part.ends(one.number)
            found.append(one)
    return found
