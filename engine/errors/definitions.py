"""Errors of definitions and settings: they cannot be used as written, and nothing has been changed.

Owns: everything under `ConfigurationError`. Must not: speak of payloads or runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.errors.tree import CallboardError, did_you_mean, shown

_MAX_PROBLEMS = 50


class ConfigurationError(CallboardError):
    """A definition or a setting cannot be used as written; nothing has been changed."""

    code = "configuration_error"


class InvalidDuration(ConfigurationError):
    """A duration cannot be read, is negative, or is not finite."""

    code = "invalid_duration"

    def __init__(self, name: str, value: object) -> None:
        self.name, self.value = name, shown(value)
        super().__init__(
            f"{name}={shown(value)} is not a duration. Write '250ms', '15s', '5m', '2h', '7d' or "
            "'1h30m', a whole number of milliseconds of 0 or more, or a timedelta."
        )


class OptionInvalid(ConfigurationError):
    """An option has a value outside its bounds."""

    code = "option_invalid"

    def __init__(self, option: str, value: object, expected: str) -> None:
        self.option, self.value, self.expected = option, shown(value), expected
        super().__init__(f"{option}={shown(value)} is not allowed: expected {expected}.")


class NameInvalid(ConfigurationError):
    """A stage, pipeline, queue or decider has a name the store cannot carry."""

    code = "name_invalid"

    def __init__(self, kind: str, name: object) -> None:
        self.kind, self.name = kind, shown(name)
        super().__init__(
            f"{shown(name)} is not a {kind} name. Use 1 to 100 letters, digits, '_', '.' or '-', "
            f"starting with a letter or '_'{_NAME_REMEDY.get(kind, '')}."
        )


_NAME_REMEDY = {
    "stage": "; for a lambda or a partial give @stage(name=...)",
    "decider": "; a choose needs a named function, not a lambda or a partial",
}


class DuplicateName(ConfigurationError):
    """Two different definitions claim one name."""

    code = "duplicate_name"

    def __init__(self, kind: str, name: str, first: str, second: str) -> None:
        self.kind, self.name, self.first, self.second = kind, name, first, second
        super().__init__(
            f"The {kind} name {name!r} is taken by {first}; {second} needs another one "
            f"({'rename the function' if kind == 'decider' else 'give it name=...'})."
        )


class DefinitionInvalid(ConfigurationError):
    """A function or composition has a shape that cannot be a stage, a flow or a pipeline."""

    code = "definition_invalid"

    def __init__(self, subject: str, problem: str, remedy: str) -> None:
        self.subject, self.problem, self.remedy = subject, problem, remedy
        super().__init__(f"{subject} {problem}. {remedy}")


class TypesUnresolved(ConfigurationError):
    """An annotation names something that does not exist at run time."""

    code = "types_unresolved"

    def __init__(self, subject: str, problem: str) -> None:
        self.subject, self.problem = subject, problem
        super().__init__(
            f"The annotations of {subject} cannot be resolved: {problem}. Import the type at run "
            "time (not only under TYPE_CHECKING) and define it at module level."
        )


class TypesDoNotFit(ConfigurationError):
    """The output of one stage cannot be the input of the next; or two cases take different inputs.

    `verb` is "gives", or "takes" where both sides are inputs.
    """

    code = "types_do_not_fit"

    def __init__(self, giver: str, gives: str, taker: str, takes: str, verb: str = "gives") -> None:
        self.giver, self.gives, self.taker, self.takes = giver, gives, taker, takes
        super().__init__(
            f"{giver!r} {verb} {gives}, but {taker!r} takes {takes}. Change one of the two "
            "annotations or put a stage between them."
        )


class FlowProblem(NamedTuple):
    """One thing wrong with a declarative flow.

    Attributes:
        path: where, such as "steps[2].choose[0].when"; "" is the document.
        problem: what, in words.
        nearest: the valid name nearest to the one given, "" if none is near.
    """

    path: str
    problem: str
    nearest: str = ""

    def __str__(self) -> str:
        near = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.path or 'document'}: {self.problem}.{near}"


class FlowInvalid(ConfigurationError):
    """A declarative flow cannot be used as written; `problems` says where and why."""

    code = "flow_invalid"

    def __init__(self, problems: Sequence[FlowProblem], source: str = "") -> None:
        self.problems = tuple(problems[:_MAX_PROBLEMS])
        self.source = source
        more = len(problems) - len(self.problems)
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"The flow{f' {shown(source)}' if source else ''} has {len(problems)} "
            f"problem{'s' if len(problems) > 1 else ''}:\n{listed}"
            f"{f' (and {more} more)' if more > 0 else ''}"
        )


class ExtraMissing(ConfigurationError):
    """What was asked needs an optional part of Callboard that is not installed."""

    code = "extra_missing"

    def __init__(self, extra: str, what: str) -> None:
        self.extra, self.what = extra, what
        super().__init__(f"{what} needs an extra: pip install 'callboard[{extra}]'.")


class UnsafeEncoder(ConfigurationError):
    """A pickling encoder is installed; what it reads could execute code."""

    code = "unsafe_encoder"

    def __init__(self, encoder: str) -> None:
        self.encoder = encoder
        super().__init__(
            f"The encoder {encoder} can execute what it reads. Use dramatiq.JSONEncoder or leave "
            "the encoder to Callboard."
        )


class NoEngine(ConfigurationError):
    """Work was sent before there is an engine to send it to."""

    code = "no_engine"

    def __init__(self) -> None:
        super().__init__(
            "There is no current engine. Build one with engine.bootstrap.build(settings) and make "
            "it current with engine.current.set(engine) or `with engine.current.use(engine):`."
        )


class UnknownName(ConfigurationError):
    """A name was looked up that is not defined; `kind` says of what."""

    code = "unknown_name"
    kind = "name"

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name, self.known = name, tuple(sorted(known))[:50]
        among = ", ".join(self.known[:10]) or "none"
        super().__init__(
            f"Unknown {self.kind} {shown(name)}.{did_you_mean(name, self.known)} Known: {among}."
        )


class UnknownStage(UnknownName):
    """No stage of this name is defined in this process."""

    code = "unknown_stage"
    kind = "stage"


class UnknownPipeline(UnknownName):
    """No pipeline of this name is defined in this process."""

    code = "unknown_pipeline"
    kind = "pipeline"


class UnknownQueue(UnknownName):
    """No queue of this name is known."""

    code = "unknown_queue"
    kind = "queue"


class UnknownOption(UnknownName):
    """An option or setting of this name does not exist."""

    code = "unknown_option"
    kind = "option"


class UnknownCase(UnknownName):
    """No decider (the function that picks a case) of this name is defined in this process."""

    code = "unknown_case"
    kind = "decider"


class UnknownPlan(UnknownName):
    """A message refers to a plan that is not stored."""

    code = "unknown_plan"
    kind = "plan"


class UnknownFormat(UnknownName):
    """No picture is drawn in a format of this name."""

    code = "unknown_format"
    kind = "format"
