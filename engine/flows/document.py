"""A document as it was written: steps, expressions and what is wrong with them.

Owns: the reading of plain data against the table of shapes. Must not: know stages, or what an
expression may read where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.clock import duration_ms
from engine.errors import FlowProblem, InvalidDuration, nearest
from engine.flows.checking import complaint, shown
from engine.flows.code import ANY, CASE, CONDITION, CONSTANT, LANGUAGES, MOMENT, Code
from engine.flows.cost import Refused
from engine.flows.shapes import (
    BINDINGS,
    COMMON,
    DOCUMENT,
    KINDS,
    MAX_DEPTH,
    MAX_STEPS,
    Fields,
)
from engine.flows.shapes import (
    CASE as CASE_SHAPE,
)

SEQUENCE = "steps"
Plain = dict[str, Any]


@dataclass(slots=True)
class Said:
    """An expression and where it stands."""

    code: Code
    path: str


@dataclass(slots=True)
class Step:
    """A node as written.

    Attributes:
        kind: a key of `KINDS`.
        path: where it stands.
        id: how expressions call its result; "" if nobody can.
        named: whether the id was given and not taken from the stage.
        bind: what it receives; by parameter where it was given so.
        plain: the fields that are plain values.
        flows: the steps inside, by their path within this one.
        said: the expressions inside, likewise.
        short: whether it is written as the name of a stage alone.
    """

    kind: str
    path: str
    id: str = ""
    named: bool = False
    bind: Said | dict[str, Said] | None = None
    plain: Plain = field(default_factory=dict)
    flows: dict[str, Step] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)
    short: bool = False

    def binds(self) -> list[Said]:
        """Return the expressions of its binding."""
        if isinstance(self.bind, dict):
            return list(self.bind.values())
        return [] if self.bind is None else [self.bind]


@dataclass(slots=True)
class Document:
    """A whole flow as written; `steps` is its sequence."""

    plain: Plain
    steps: Step
    bindings: dict[str, Said | dict[str, Said]]


class Reader:
    """Reads one document and gathers everything that is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[FlowProblem] = []
        self._steps = 0

    def read(self, data: Any) -> Document | None:
        """Return the document; None where nothing can be made of it."""
        if not isinstance(data, dict):
            self.complain("", f"it is {shown(data)}, not an object with 'steps'")
            return None
        self._check_fields("", data, DOCUMENT)
        steps = data.get("steps")
        if not isinstance(steps, list):
            return None
        sequence = Step(SEQUENCE, "steps")
        self._flows_of(sequence, "", steps, 0)
        given = data.get("bindings")
        bindings = given if isinstance(given, dict) else {}
        self._constant(data.get("context"), "context")
        read = {name: self._binding(value, f"bindings.{name}") for name, value in bindings.items()}
        found = {name: value for name, value in read.items() if value is not None}
        return Document({name: data[name] for name in data if name in DOCUMENT}, sequence, found)

    def complain(self, path: str, problem: str, near: str = "") -> None:
        """Note a problem."""
        self.problems.append(FlowProblem(path, problem, near))

    # -- steps

    def _flow(self, data: Any, path: str, depth: int) -> Step | None:
        return (
            self._sequence(data, path, depth)
            if isinstance(data, list)
            else self._step(data, path, depth)
        )

    def _sequence(self, data: list[Any], path: str, depth: int) -> Step:
        whole = Step(SEQUENCE, path)
        if not data:
            self.complain(path, "it is empty; give one step or more")
        self._flows_of(whole, "", data, depth)
        return whole

    def _flows_of(self, step: Step, name: str, data: list[Any], depth: int) -> None:
        for number, part in enumerate(data):
            if self._steps > MAX_STEPS:
                return
            inner = f"{name}[{number}]"
            self._flow_of(step, inner, part, f"{step.path}{'.' if name else ''}{inner}", depth)

    def _flow_of(self, step: Step, name: str, data: Any, path: str, depth: int) -> None:
        found = self._flow(data, path, depth + 1)
        if found is not None:
            step.flows[name] = found

    def _step(self, data: Any, path: str, depth: int) -> Step | None:
        if not self._may_go_on(path, depth):
            return None
        short = isinstance(data, str)
        if short:
            data = {"stage": data}
        if not isinstance(data, dict):
            self.complain(path, f"{shown(data)} is no step; write a stage's name or an object")
            return None
        kind = self._kind(data, path)
        if kind is None:
            return None
        self._check_fields(path, data, {**KINDS[kind], **COMMON})
        step = Step(kind, path, short=short)
        own = data[kind] if kind in ("stage", "pipeline") else None
        name = data.get("id", own)
        step.id, step.named = (name if isinstance(name, str) else ""), "id" in data
        if "bind" in data:
            step.bind = self._binding(data["bind"], f"{path}.bind")
        step.plain = {
            name: value for name, value in data.items() if not isinstance(value, (dict, list))
        }
        self._inside(step, data, depth)
        return step

    def _may_go_on(self, path: str, depth: int) -> bool:
        self._steps += 1
        if self._steps == MAX_STEPS + 1:
            self.complain(path, f"there are more than {MAX_STEPS:,} steps")
        if depth > MAX_DEPTH:
            self.complain(path, f"it is nested deeper than {MAX_DEPTH} steps")
        return self._steps <= MAX_STEPS and depth <= MAX_DEPTH

    def _kind(self, data: Plain, path: str) -> str | None:
        kinds = [kind for kind in KINDS if kind in data]
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            self.complain(path, f"it is {' and '.join(kinds)} at once; make two steps of it")
            return None
        near = (nearest(str(name), KINDS) for name in data if name not in COMMON)
        listed = ", ".join(KINDS)
        self.complain(path, f"it is no step; give one of {listed}", next(filter(None, near), ""))
        return None

    def _inside(self, step: Step, data: Plain, depth: int) -> None:
        for name in ("steps", "parallel", "first"):
            if name == step.kind and isinstance(data[name], list):
                self._flows_of(step, name, data[name], depth)
        for name in ("each", "repeat", "otherwise"):
            if name in data and (name == step.kind or name in KINDS[step.kind]):
                self._flow_of(step, name, data[name], f"{step.path}.{name}", depth)
        if step.kind == "choose":
            self._cases(step, data, depth)
        if step.kind == "repeat" and "until" in data:
            self._say(step, "until", data["until"], CONDITION)
        if step.kind == "sleep_until":
            self._say(step, "sleep_until", data["sleep_until"], MOMENT)

    def _cases(self, step: Step, data: Plain, depth: int) -> None:
        chosen, cases = data["choose"], data.get("cases")
        if isinstance(chosen, list):
            if cases is not None:
                self.complain(f"{step.path}.cases", "a list of conditions has its cases in it")
            if not chosen:
                self.complain(f"{step.path}.choose", "it is empty; give one case or more")
            for number, case in enumerate(chosen):
                self._case(step, case, f"choose[{number}]", depth)
            return
        self._say(step, "choose", chosen, CASE)
        if not isinstance(cases, dict) or not cases:
            self.complain(step.path, "it misses 'cases', the flows by the names of cases")
            return
        for name, flow in cases.items():
            path = f"{step.path}.cases.{name}"
            if not 0 < len(name) <= 100:
                self.complain(path, "the name of a case has 1 to 100 characters")
            self._flow_of(step, f"cases.{name}", flow, path, depth)

    def _case(self, step: Step, case: Any, name: str, depth: int) -> None:
        path = f"{step.path}.{name}"
        if not isinstance(case, dict):
            self.complain(path, f"{shown(case)} is no case; give 'when' and 'then'")
            return
        self._check_fields(path, case, CASE_SHAPE)
        if "when" in case:
            self._say(step, f"{name}.when", case["when"], CONDITION)
        if "then" in case:
            self._flow_of(step, f"{name}.then", case["then"], f"{path}.then", depth)

    # -- expressions

    def _say(self, step: Step, name: str, data: Any, kind: str) -> None:
        said = self._expression(data, f"{step.path}.{name}", "cel", kind)
        if said is not None:
            step.said[name] = said

    def _expression(self, data: Any, path: str, language: str, kind: str) -> Said | None:
        text = data
        if isinstance(data, dict) and len(data) == 1:
            ((language, text),) = data.items()
        if language not in LANGUAGES:
            self.complain(path, f"{shown(language)} is no language", nearest(language, LANGUAGES))
            return None
        if not isinstance(text, str):
            self.complain(path, f"{shown(text)} is no expression; write text")
            return None
        code = Code(language, text, kind)
        try:
            code.parsed()
        except Refused as error:
            self.complain(path, f"the expression {shown(text)} {error.problem}", error.nearest)
            return None
        return Said(code, path)

    def _binding(self, data: Any, path: str) -> Said | dict[str, Said] | None:
        if isinstance(data, dict) and set(data) == {"value"}:
            return self._constant(data["value"], path)
        if isinstance(data, dict) and set(data) == {"inputs"} and isinstance(data["inputs"], dict):
            inputs = {
                name: self._binding(value, f"{path}.inputs.{name}")
                for name, value in data["inputs"].items()
            }
            if nested := [name for name, said in inputs.items() if isinstance(said, dict)]:
                self.complain(f"{path}.inputs.{nested[0]}", "an input has no inputs of its own")
            return {name: said for name, said in inputs.items() if isinstance(said, Said)}
        if isinstance(data, dict) and (len(data) != 1 or not set(data) <= set(LANGUAGES)):
            odd = next((str(name) for name in data if name not in BINDINGS), "")
            known = ", ".join(BINDINGS)
            self.complain(path, f"a binding has one of {known}", nearest(odd, BINDINGS))
            return None
        return self._expression(data, path, "jmespath", ANY)

    def _constant(self, value: Any, path: str) -> Said:
        text = "null"
        try:
            text = msgspec.json.encode(value).decode()
        except (TypeError, ValueError, OverflowError):
            self.complain(path, "the value holds a number that JSON readers cannot take")
        return Said(Code(CONSTANT, text), path)

    # -- fields

    def _check_fields(self, path: str, data: Plain, fields: Fields) -> None:
        at = f"{path}." if path else ""
        for name, value in data.items():
            if name not in fields:
                known = ", ".join(fields)
                problem = f"there is no such field; there are {known}"
                self.complain(f"{at}{name[:80]}", problem, nearest(name, fields))
                continue
            self._check_field(f"{at}{name}", fields[name].schema, value)
        for name, described in fields.items():
            if described.required and name not in data:
                self.complain(path, f"it misses {name!r}")

    def _check_field(self, path: str, schema: Plain, value: Any) -> None:
        if schema.get("$ref") == "#/$defs/duration":
            self._check_duration(path, value)
        elif "$ref" not in schema and (found := complaint(schema, value)) is not None:
            self.complain(path, *found)

    def _check_duration(self, path: str, value: Any) -> None:
        try:
            duration_ms(value, name=path.rpartition(".")[2])
        except InvalidDuration as error:
            self.complain(path, str(error).rstrip("."))
