"""Which steps an expression may read where it stands.

Owns: ids and visibility. Must not: evaluate, or build flows.

A step is visible behind itself: to the steps after it in its list, and to all that is inside those.
What stands in one branch of several, in a case or in a timeout is visible there alone; the result
of the whole is visible behind the whole. What stands in an `each` or a `repeat` happens many times
and has no one result: inside it, results flow on as `value`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import FlowProblem, nearest
from engine.flows.document import SEQUENCE, Document, Said, Step
from engine.flows.reads import CONTEXT, INPUT

_MANY = ("each", "repeat")


class References:
    """The references of one document.

    Attributes:
        problems: what is wrong with them.
        kept: ids of the steps that some expression reads.
        reads_start: whether one reads `input` or `context`.
    """

    def __init__(self, document: Document) -> None:
        self.problems: list[FlowProblem] = []
        self.kept: set[str] = set()
        self.reads_start = False
        self._ids: dict[str, list[Step]] = {}
        self._many: set[str] = set()
        self._gather(document.steps, many=False)
        self._check_ids()
        self._place_bindings(document)
        self._walk(document.steps, frozenset())

    def _gather(self, step: Step, *, many: bool) -> None:
        if step.id:
            self._ids.setdefault(step.id, []).append(step)
            if many:
                self._many.add(step.id)
        for name, inner in step.flows.items():
            self._gather(inner, many=many or (step.kind in _MANY and name == step.kind))

    def _check_ids(self) -> None:
        for name, steps in self._ids.items():
            named = [step for step in steps if step.named]
            for again in named[1:]:
                problem = f"the id {name!r} is taken by {named[0].path}"
                self.problems.append(FlowProblem(f"{again.path}.id", problem))

    def _place_bindings(self, document: Document) -> None:
        for name, binding in document.bindings.items():
            steps = self._ids.get(name, [])
            path = f"bindings.{name}"
            if not steps:
                problem = f"there is no step {name!r}"
                self.problems.append(FlowProblem(path, problem, nearest(name, self._ids)))
            elif len(steps) > 1:
                problem = f"{len(steps)} steps are called {name!r}; give them ids of their own"
                self.problems.append(FlowProblem(path, problem))
            elif steps[0].bind is not None:
                problem = f"the step at {steps[0].path} has a 'bind' of its own; keep one"
                self.problems.append(FlowProblem(path, problem))
            else:
                steps[0].bind = binding

    def _walk(self, step: Step, visible: frozenset[str]) -> None:
        for said in (*step.binds(), *step.said.values()):
            self._check(said, visible)
        for inner in step.flows.values():
            self._walk(inner, visible)
            if step.kind == SEQUENCE:
                visible |= frozenset(_ends_with(inner))

    def _check(self, said: Said, visible: frozenset[str]) -> None:
        reads = said.code.reads()
        self.reads_start |= INPUT in reads.names or CONTEXT in reads.names
        for step in reads.steps:
            problem = self._problem(step, visible)
            if problem is None:
                self.kept.add(step)
                continue
            near = "" if step in self._ids else nearest(step, visible)
            self.problems.append(FlowProblem(said.path, problem, near))

    def _problem(self, step: str, visible: frozenset[str]) -> str | None:
        if step not in self._ids:
            known = ", ".join(sorted(visible)) or "none"
            return f"there is no step {step!r}; those that have ended here: {known}"
        if len(self._ids[step]) > 1:
            return f"{len(self._ids[step])} steps are called {step!r}; give them ids of their own"
        if step in self._many:
            return f"step {step!r} happens many times; inside, its result flows on as 'value'"
        if step not in visible:
            return f"it is not certain that step {step!r} has ended here"
        return None


def _ends_with(step: Step) -> Iterator[str]:
    """Return the ids that are visible behind a step: its own, and those of a plain list in it."""
    if step.id:
        yield step.id
    if step.kind == SEQUENCE:
        for inner in step.flows.values():
            yield from _ends_with(inner)
