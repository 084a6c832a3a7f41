"""A declared flow: a pipeline that came from a document.

Owns: `Declared`, its start and the loading of documents. Must not: start anything by itself; that
goes to the current engine. A declared flow is in no registry unless asked to: documents come and
go, and nobody's document takes the place of a pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from engine import current
from engine.clock import Duration
from engine.errors import FlowInvalid, FlowProblem
from engine.flows.document import Document, Reader
from engine.flows.reading import read_file, read_text
from engine.flows.scope import wrapped
from engine.flows.translation import Translation
from engine.workflow import registry
from engine.workflow.payload import InputCodec
from engine.workflow.pipeline import Pipeline
from engine.workflow.registry import Origin, Registry
from engine.workflow.run import Run
from engine.workflow.start import AttributesPerInput, PerInput, Start, bulk_starts, one_start

DEFAULT_NAME = "flow"

Source = str | Path | Mapping[str, Any]
"""A path, the text itself (it begins with a brace or has a line end), or its plain data."""


class Declared(Pipeline):
    """A pipeline from a document; started like any other.

    Attributes:
        id: the key of its runs, or None.
        tenant: for whom, unless a start says otherwise; None is "default".
        priority: of its first messages, unless a start says otherwise.
        context: what expressions read as `context`, unless a start gives another.
    """

    def __init__(self, document: Document, translation: Translation, source: str) -> None:
        assert translation.flow is not None
        plain = document.plain
        self.name = plain.get("name", DEFAULT_NAME)
        self.flow = translation.flow
        self.idempotency = None
        self.retention_ms = None
        self.origin = Origin("", self.name, source)
        self.id: str | None = plain.get("id")
        self.tenant: str | None = plain.get("tenantId")
        self.priority: int | None = plain.get("priority")
        self.context: Mapping[str, Any] = plain.get("context", {})
        self._inputs = translation.inputs
        self._wrapped = translation.wrapped

    @cached_property
    def inputs(self) -> InputCodec:
        """The codec of the input, without the context."""
        return self._inputs

    def payload(self, given: bytes, context: Mapping[str, Any] | None = None) -> bytes:
        """Return the payload of a run from its input as JSON."""
        if not self._wrapped:
            return given
        return wrapped(given, self.context if context is None else context)

    def one_start(
        self,
        given: bytes,
        *,
        context: Mapping[str, Any] | None = None,
        tenant: str | None = None,
        key: str | None = None,
        delay: Duration | None = None,
        priority: int | None = None,
    ) -> Start:
        """Return the start of one run from its input as JSON; what is None the document says."""
        return one_start(
            self.payload(given, context),
            self.tenant if tenant is None else tenant,
            self.id if key is None else key,
            delay,
            self.priority if priority is None else priority,
        )

    def start(self, *args: Any, context: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Start a run; what is left out of tenant, key, priority and context the document says.

        Args:
            *args: the inputs of the first stage.
            context: instead of the document's.
            **options: `tenant`, `key`, `delay` and `priority`, as for any pipeline.

        Raises:
            PayloadInvalid, TenantInvalid, KeyInvalid, InvalidDuration, OptionInvalid: nothing sent.
            StoreError: the store refused or did not answer.
        """
        start = self.one_start(self.inputs.encode(args), context=context, **options)
        return current.get().start(self, start.payload, **start.options())

    async def astart(
        self, *args: Any, context: Mapping[str, Any] | None = None, **options: Any
    ) -> Run:
        """Start a run as `start` does, without blocking the event loop."""
        start = self.one_start(self.inputs.encode(args), context=context, **options)
        return await current.get().astart(self, start.payload, **start.options())

    def start_many(
        self,
        inputs: Sequence[Any],
        *,
        tenant: PerInput = None,
        keys: PerInput = None,
        delay: Duration | None = None,
        priority: int | None = None,
        attributes: AttributesPerInput | None = None,
    ) -> list[Run]:
        """Start one run per input, in bulk. The document's id is nobody's key here."""
        whose = self.tenant if tenant is None else tenant
        level = self.priority if priority is None else priority
        starts = bulk_starts(self.inputs, inputs, whose, keys, delay, level, attributes)
        wrapped = [
            msgspec.structs.replace(start, payload=self.payload(start.payload)) for start in starts
        ]
        return current.get().start_many(self, wrapped)


def load(
    source: Source, *, definitions: Registry | None = None, register: bool = False
) -> Declared:
    """Return the flow of a document.

    Args:
        source: a path, a text or plain data.
        definitions: where stages and pipelines are looked up; None is the current registry.
        register: enter it there by its name, so that other pipelines can have it as a child.

    Raises:
        FlowInvalid: with everything that is wrong, each by its path.
        DuplicateName: it shall be registered, and its name is taken.
        ExtraMissing: the extra `flows` is not installed.
        OSError: the file cannot be read.
    """
    known = definitions or registry.current()
    document, translation, problems = _checked(source, known)
    if problems or document is None or translation is None:
        raise FlowInvalid(problems, source_name(source))
    made = Declared(document, translation, source_name(source))
    if register:
        known.add_pipeline(made)
    return made


def problems_of(source: Source, *, definitions: Registry | None = None) -> list[FlowProblem]:
    """Return everything that is wrong with a document; raises ExtraMissing, OSError."""
    try:
        return _checked(source, definitions or registry.current())[2]
    except FlowInvalid as error:
        return list(error.problems)


def source_name(source: Source) -> str:
    """Return what errors call a source."""
    return str(source) if isinstance(source, Path) or _is_path(source) else ""


def _is_path(source: Source) -> bool:
    if not isinstance(source, str) or not source.strip():
        return False
    return not source.lstrip().startswith("{") and "\n" not in source


def _checked(
    source: Source, definitions: Registry
) -> tuple[Document | None, Translation | None, list[FlowProblem]]:
    reader = Reader()
    document = reader.read(_data(source))
    if document is None or reader.problems:
        return document, None, reader.problems
    translation = Translation(document, definitions)
    return document, translation, translation.problems


def _data(source: Source) -> Any:
    if isinstance(source, Mapping):
        return dict(source)
    if isinstance(source, Path) or _is_path(source):
        return read_file(source)
    return read_text(source)
