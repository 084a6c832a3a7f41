"""The tiny engine of the workflow's tests, with results that expressions can read."""

from __future__ import annotations

from engine.flows import Scope, nothing_yet
from engine.workflow.plan import Plan
from engine.workflow.registry import Registry
from engine.workflow.transitions import begin, follow
from tests.unit.workflow.interpreter import Interpreter


class ScopedInterpreter(Interpreter):
    """Keeps the results that the store keeps: those of positions outside any each or repeat."""

    def __init__(self, plan: Plan, registry: Registry, seed: int = 0) -> None:
        super().__init__(plan, registry, seed)
        self.results: dict[str, bytes] = {}
        self.inputs: dict[str, bytes] = {}

    def run(self, payload: bytes) -> bytes:
        decide = self.registry.decide
        self.apply(begin(self.plan, payload, Scope(self.plan, nothing_yet, decide).decide))
        scope = Scope(self.plan, self.results.get, decide)
        while self.ready:
            message = self.ready.pop(self.random.randrange(len(self.ready)))
            assert message.position not in self.visited, "a position is visited once"
            self.visited.append(message.position)
            received = scope.received(message.position, message.input)
            self.inputs[message.position] = received
            result = self.attempt(message.__class__(**_with(message, received)))
            decide_behind = scope.behind(message.position, result)
            self.apply(follow(self.plan, message.position, result, decide_behind))
            if "." not in message.position:
                self.results[message.position] = result  # as late as a commit stores it
        assert not self.joins, "every join has fired"
        (end,) = self.ends
        return end


def _with(message, received):
    facts = {name: getattr(message, name) for name in message.__struct_fields__}
    return {**facts, "input": received}
