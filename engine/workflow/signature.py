"""What a function declares: payload parameters, the place of the context, the type it returns.

Owns: reading signatures and annotations. Must not: validate values or know queues.

Annotations are resolved as soon as possible, but a forward reference may need the rest of the
module, so a signature can exist unresolved and be resolved later.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, NamedTuple, get_args

from engine.errors import DefinitionInvalid, TypesUnresolved
from engine.workflow.context import Context
from engine.workflow.fitting import tuple_of, union_of
from engine.workflow.payload import Field

_NO_LOCALS: Mapping[str, Any] = {}


class Signature(NamedTuple):
    """A resolved signature.

    Attributes:
        fields: the payload parameters in order.
        returns: the declared result, `Parameter.empty` when there is none.
        context_parameter: name of the parameter annotated `Context`, if any.
        context_index: its place among positional parameters; None when keyword-only.
        keywords: names of keyword-only payload parameters; they are the last fields.
    """

    fields: tuple[Field, ...]
    returns: Any
    context_parameter: str | None
    context_index: int | None
    keywords: tuple[str, ...]

    def takes(self) -> Any:
        """Return the type of the payload as one value: Any for none, a tuple for several."""
        types = [Any if f.annotation is Parameter.empty else f.annotation for f in self.fields]
        if len(types) < 2:
            return types[0] if types else Any
        required = sum(f.default is Parameter.empty for f in self.fields)
        lengths = range(max(required, 2), len(types) + 1)
        return union_of([tuple_of(types[:length]) for length in lengths])


def read_signature(
    name: str, fn: Callable[..., Any], local_names: Mapping[str, Any] = _NO_LOCALS
) -> Signature:
    """Read what `fn` declares.

    Args:
        name: what errors call it.
        fn: a function, plain or async.
        local_names: names of the enclosing function, for types defined inside it.

    Raises:
        TypesUnresolved: an annotation names something that does not exist (yet).
        DefinitionInvalid: `*args`, `**kwargs` or two contexts.
    """
    hints = _hints(name, fn, local_names)
    parameters = list(inspect.signature(fn).parameters.values())
    for parameter in parameters:
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise DefinitionInvalid(
                f"Stage {name!r}", f"takes {parameter}", "Declare every input by name."
            )
    contexts = [p for p in parameters if is_context(hints.get(p.name))]
    if len(contexts) > 1:
        raise DefinitionInvalid(f"Stage {name!r}", "has two Context parameters", "Keep one.")
    payload = [p for p in parameters if p not in contexts]
    context = contexts[0] if contexts else None
    return Signature(
        fields=tuple(Field(p.name, hints.get(p.name, Parameter.empty), p.default) for p in payload),
        returns=hints.get("return", Parameter.empty),
        context_parameter=context.name if context else None,
        context_index=_place(context, parameters),
        keywords=tuple(p.name for p in payload if p.kind is Parameter.KEYWORD_ONLY),
    )


def is_context(annotation: Any) -> bool:
    """Say whether an annotation asks for the context: `Context`, a subclass, or optional."""
    if isinstance(annotation, type):
        return issubclass(annotation, Context)
    return any(member is not type(None) and is_context(member) for member in get_args(annotation))


def _hints(name: str, fn: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn, localns=dict(local_names) or None, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as problem:
        raise TypesUnresolved(f"{name!r}", str(problem)) from problem


def _place(context: Parameter | None, parameters: list[Parameter]) -> int | None:
    if context is None or context.kind is Parameter.KEYWORD_ONLY:
        return None
    return parameters.index(context)
