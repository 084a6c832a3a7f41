"""From a document to the flow that the same pipeline in Python has.

Owns: one rule for every kind of step. Must not: read text or plain data, or run anything.

The flow is made of the same objects that `a | b` or `each(a)` make, and the compiler makes the same
plan of it. Where an expression reads more than what flows in, stages are bound, steps are kept, and
the run begins with a pause of no length whose result is input and context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from engine.clock import duration_ms
from engine.errors import ConfigurationError, FlowProblem, UnknownName, nearest
from engine.flows.code import CONSTANT, Code
from engine.flows.document import Document, Said, Step
from engine.flows.reads import INPUT
from engine.flows.references import References
from engine.flows.scope import START
from engine.workflow.bound import Bound, Kept, Written
from engine.workflow.choose import Choose
from engine.workflow.each import each
from engine.workflow.flow import Flow, when_resolved
from engine.workflow.gather import first, gather
from engine.workflow.nodes import Bind
from engine.workflow.payload import Field, InputCodec, encode_untyped
from engine.workflow.registry import Registry
from engine.workflow.repeat import Repeat
from engine.workflow.stage import Stage
from engine.workflow.wait import Sleep, sleep, wait_for

_INPUT = str(Code("jmespath", INPUT))
_NAMING = ("stage", "undo", "pages", "pipeline")
_WINDOW, _LIMIT = 200, 1_000


class Translation:
    """The flow of one document.

    Attributes:
        problems: what is wrong; there is a flow only where nothing is.
        flow: what to compile.
        inputs: the codec of what people pass to `start`.
        wrapped: whether the payload of a run is an object of input and context.
    """

    def __init__(self, document: Document, definitions: Registry) -> None:
        references = References(document)
        self.problems = references.problems
        self.wrapped = references.reads_start
        self.flow: Flow | None = None
        self.inputs = InputCodec("flow", [Field("input")])
        self._kept = references.kept
        self._definitions = definitions
        self._build(document.steps)

    def _build(self, steps: Step) -> None:
        whole = self._step(steps)
        if whole is None or self.problems:
            return
        self.inputs = whole.entry()
        self.flow = self._begun(steps, whole) if self.wrapped else whole

    def _begun(self, steps: Step, whole: Flow) -> Flow:
        start = Kept(Sleep(0, None), START)
        leading = next(iter(steps.flows.values()))
        if leading.kind == "stage" and leading.bind is None:
            leading.bind = Said(Code("jmespath", INPUT), leading.path)
            rebuilt = self._step(steps)
            assert rebuilt is not None
            return start | rebuilt
        return start | Bound(Sleep(0, None), _INPUT) | whole

    # -- steps

    def _step(self, step: Step) -> Flow | None:
        """Return the flow of a step; None where something is wrong with it."""
        before = len(self.problems)
        inner = {name: self._step(part) for name, part in step.flows.items()}
        if len(self.problems) > before or None in inner.values():
            return None
        found = self._tried(step, lambda: self._made(step, cast("dict[str, Flow]", inner)))
        if found is None:
            return None
        flow = self._tried(step, lambda: self._bound(step, found))
        return Kept(flow, step.id) if flow is not None and step.id in self._kept else flow

    def _tried(self, step: Step, make: Callable[[], Flow | None]) -> Flow | None:
        try:
            return make()
        except UnknownName as error:
            names = (name for name in _NAMING if step.plain.get(name) == error.name)
            path = step.path if step.short else f"{step.path}.{next(names)}"
            problem = f"there is no {error.kind} {error.name!r} here"
            self._complain(path, problem, nearest(error.name, error.known))
        except ConfigurationError as error:
            self._complain(step.path, str(error).rstrip("."))
        return None

    def _complain(self, path: str, problem: str, near: str = "") -> None:
        self.problems.append(FlowProblem(path, problem, near))

    def _made(self, step: Step, inner: dict[str, Flow]) -> Flow | None:  # noqa: C901, PLR0911
        match step.kind:
            case "stage":
                return self._stage(step)
            case "pipeline":
                return self._definitions.pipeline(step.plain["pipeline"])
            case "steps":
                return self._sequence(step, inner)
            case "parallel":
                return gather(*inner.values(), need=step.plain.get("need", "all"))
            case "first":
                return first(*inner.values())
            case "each":
                return self._each(step, inner)
            case "choose":
                return _choose(step, inner)
            case "wait_for":
                return wait_for(
                    step.plain["wait_for"],
                    timeout=step.plain.get("timeout"),
                    otherwise=inner.get("otherwise"),
                )
            case "sleep":
                return sleep(step.plain["sleep"])
            case "sleep_until":
                return Sleep(0, Written(str(step.said["sleep_until"].code)))
            case "repeat":
                return _repeat(step, inner["repeat"])
        raise AssertionError(f"no rule for {step.kind}")

    def _stage(self, step: Step) -> Flow:
        stage = self._definitions.stage(step.plain["stage"])
        undo = step.plain.get("undo")
        return stage if undo is None else stage.undo(self._definitions.stage(undo))

    def _sequence(self, step: Step, inner: dict[str, Flow]) -> Flow | None:
        whole: Flow | None = None
        for name, part in inner.items():
            before = whole
            whole = part if before is None else self._joined(step.flows[name], before, part)
            if whole is None:
                return None
        return whole

    def _joined(self, step: Step, before: Flow, part: Flow) -> Flow | None:
        return self._tried(step, lambda: before | part)

    def _each(self, step: Step, inner: dict[str, Flow]) -> Flow:
        pages = step.plain.get("pages")
        return each(
            inner["each"],
            step.plain.get("window", _WINDOW),
            on_error=step.plain.get("on_error", "fail"),
            pages=None if pages is None else self._definitions.stage(pages),
        )

    # -- bindings

    def _bound(self, step: Step, flow: Flow) -> Flow | None:
        if step.bind is None:
            return flow
        if step.kind == "stage":
            bind = self._inputs(step) if isinstance(step.bind, dict) else str(step.bind.code)
            return None if bind is None else Bound(flow, bind)
        if isinstance(step.bind, dict):
            self._complain(f"{step.path}.bind", "only a stage has inputs with names")
            return None
        return Bound(Sleep(0, None), str(step.bind.code)) | flow

    def _inputs(self, step: Step) -> Bind | None:
        stage = self._definitions.stage(step.plain["stage"])
        given = cast("dict[str, Said]", step.bind)
        known = [field.name for field in stage.inputs.fields]
        before = len(self.problems)
        for name, said in given.items():
            if name not in known:
                problem = f"stage {stage.name!r} has no input {name!r}; it has {', '.join(known)}"
                self._complain(said.path, problem, nearest(name, known))
        if len(self.problems) > before:
            return None
        codes = [self._input(step, stage, field, given) for field in stage.inputs.fields]
        if len(self.problems) > before or None in codes:
            return None
        found = cast("list[str]", codes)
        return found[0] if len(found) == 1 else tuple(found)

    def _input(
        self, step: Step, stage: Stage[..., Any], field: Field, given: dict[str, Said]
    ) -> str | None:
        if field.name in given:
            return str(given[field.name].code)
        if field.default is Field("").default:
            self._complain(f"{step.path}.bind", f"it misses {field.name!r} of stage {stage.name!r}")
            return None
        return str(Code(CONSTANT, encode_untyped(field.default).decode()))


def _choose(step: Step, inner: dict[str, Flow]) -> Flow:
    otherwise = inner.get("otherwise")
    if "choose" in step.said:
        decider = Written(str(step.said["choose"].code))
        cases = {
            name.removeprefix("cases."): flow
            for name, flow in inner.items()
            if name.startswith("cases.")
        }
        made = Choose(decider, cases, otherwise)
    else:
        when = {
            str(said.code): inner[name.removesuffix("when") + "then"]
            for name, said in step.said.items()
        }
        if len(when) < len(step.said):
            raise ConfigurationError("Two cases have the same condition.")
        made = Choose(Written("choose"), when, otherwise, tuple(when))
    when_resolved(made.check)
    return made


def _repeat(step: Step, body: Flow) -> Flow:
    every = step.plain.get("every")
    made = Repeat(
        body,
        Written(str(step.said["until"].code)),
        step.plain.get("limit", _LIMIT),
        0 if every is None else duration_ms(every, name="every"),
    )
    when_resolved(made.check)
    return made
