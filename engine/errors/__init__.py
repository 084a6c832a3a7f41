"""The one tree of errors: every failure has a class, a stable `code` and a remedy.

Owns: the classes and the wording. Must not: import anything else of the engine, hold payloads, or
know HTTP (the status of an error lives in one table of the API).

Each error takes its facts as arguments, keeps them as attributes and words the message itself, so
that whoever raises it cannot forget the value or the remedy. Errors survive pickling.
"""

from __future__ import annotations

from engine.errors.definitions import (
    ConfigurationError,
    DefinitionInvalid,
    DuplicateName,
    InvalidDuration,
    NameInvalid,
    NoEngine,
    OptionInvalid,
    QueueConflict,
    TypesDoNotFit,
    TypesUnresolved,
    UnknownCase,
    UnknownName,
    UnknownOption,
    UnknownPipeline,
    UnknownPlan,
    UnknownQueue,
    UnknownStage,
    UnsafeEncoder,
)
from engine.errors.inputs import (
    AttributeInvalid,
    CursorInvalid,
    InputError,
    KeyInvalid,
    LengthsDiffer,
    NoCaseMatches,
    PayloadInvalid,
    PayloadTooLarge,
    Problem,
    TenantInvalid,
)
from engine.errors.runs import (
    DeadLetterNotFound,
    DeadlineExceeded,
    IdempotentRunFailed,
    RunCancelled,
    RunError,
    RunFailed,
    RunNotFound,
    WaitTimeout,
)
from engine.errors.store import (
    QueueFull,
    SchemaMismatch,
    ScriptRefused,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreMisconfigured,
    StoreTooOld,
    StoreUnreachable,
)
from engine.errors.tree import (
    CallboardError,
    did_you_mean,
    shown,
)

__all__ = [
    "AttributeInvalid",
    "CallboardError",
    "ConfigurationError",
    "CursorInvalid",
    "DeadLetterNotFound",
    "DeadlineExceeded",
    "DefinitionInvalid",
    "DuplicateName",
    "IdempotentRunFailed",
    "InputError",
    "InvalidDuration",
    "KeyInvalid",
    "LengthsDiffer",
    "NameInvalid",
    "NoCaseMatches",
    "NoEngine",
    "OptionInvalid",
    "PayloadInvalid",
    "PayloadTooLarge",
    "Problem",
    "QueueConflict",
    "QueueFull",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunNotFound",
    "SchemaMismatch",
    "ScriptRefused",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreMisconfigured",
    "StoreTooOld",
    "StoreUnreachable",
    "TenantInvalid",
    "TypesDoNotFit",
    "TypesUnresolved",
    "UnknownCase",
    "UnknownName",
    "UnknownOption",
    "UnknownPipeline",
    "UnknownPlan",
    "UnknownQueue",
    "UnknownStage",
    "UnsafeEncoder",
    "WaitTimeout",
    "did_you_mean",
    "shown",
]
