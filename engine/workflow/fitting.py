"""Whether a value of one type can be the input of another, judged from annotations alone.

Owns: the rules of `fits` and the wording of a type. Must not: know stages or flows, nor look at
values; what passes here is still validated by Pydantic on arrival.

What cannot be judged (Any, unannotated, type variables, protocols) passes: the check exists to
catch certain mistakes at import, not to prove correctness. Arrays cross the wire as JSON, so list,
tuple, set and frozenset of fitting elements fit each other; a `tuple[A, B]` needs two elements.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections import abc
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin, is_typeddict

_ARRAYS: tuple[type, ...] = (list, tuple, set, frozenset, abc.Sequence, abc.Set)
_NOT_ARRAYS: tuple[type, ...] = (str, bytes, bytearray, dict, abc.Mapping)
_SKIPPED: tuple[Any, ...] = (Any, object, inspect.Parameter.empty, typing.Hashable)


def fits(given: Any, wanted: Any) -> bool:  # noqa: PLR0911 - a list of rules
    """Say whether every value of type `given` may be passed where `wanted` is declared."""
    given, wanted = _bare(given), _bare(wanted)
    if _passes(given) or _passes(wanted) or given == wanted:
        return True
    if _is_union(given):
        return all(fits(member, wanted) for member in get_args(given))
    if _is_union(wanted):
        return any(fits(given, member) for member in get_args(wanted))
    if get_origin(given) is Literal or get_origin(wanted) is Literal:
        return _literal_fits(given, wanted)
    if is_typeddict(_class(given)):
        return _typed_dict_fits(given, wanted)
    if _is_array(given) and _is_array(wanted):
        return _array_fits(given, wanted)
    return _class_fits(given, wanted)


def described(annotation: Any) -> str:
    """Return a type as a person writes it."""
    annotation = type(None) if annotation is None else annotation
    if annotation is inspect.Parameter.empty or annotation is Any:
        return "Any"
    if annotation is type(None):
        return "None"
    if _is_union(annotation):
        return " | ".join(described(member) for member in get_args(annotation))
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is not None and args and origin is not Literal:
        inner = ", ".join("..." if arg is ... else described(arg) for arg in args)
        return f"{described(origin)}[{inner}]"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def array_of(element: Any) -> Any:
    """Return `list[element]` for a type known only at run time."""
    return types.GenericAlias(list, (element,))


def tuple_of(elements: typing.Sequence[Any]) -> Any:
    """Return `tuple[elements...]` for types known only at run time."""
    return types.GenericAlias(tuple, tuple(elements))


def union_of(members: typing.Sequence[Any]) -> Any:
    """Return the union of types known only at run time; unknown members make it Any."""
    bare = [type(None) if member is None else member for member in members]
    if any(member in (Any, inspect.Parameter.empty) for member in bare):
        return Any
    return Union[tuple(bare)]  # noqa: UP007 - the members are known only at run time


def _bare(annotation: Any) -> Any:
    """Strip what does not change the JSON: Annotated, NewType, aliases; None becomes its type."""
    while True:
        if annotation is None:
            return type(None)
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _passes(annotation: Any) -> bool:
    return any(annotation is skipped for skipped in _SKIPPED) or isinstance(annotation, TypeVar)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _class(annotation: Any) -> Any:
    return get_origin(annotation) or annotation


def _is_array(annotation: Any) -> bool:
    cls = _class(annotation)
    # Iterable by name only: by shape a Pydantic model would be one.
    if cls in (abc.Iterable, abc.Collection):
        return True
    return isinstance(cls, type) and not _subclass(cls, _NOT_ARRAYS) and _subclass(cls, _ARRAYS)


def _subclass(given: Any, wanted: Any) -> bool:
    try:
        return issubclass(given, wanted)
    except TypeError:
        return False


def _literal_fits(given: Any, wanted: Any) -> bool:
    if get_origin(given) is not Literal:
        return False
    if get_origin(wanted) is Literal:
        return set(get_args(given)) <= set(get_args(wanted))
    return all(fits(type(value), wanted) for value in get_args(given))


def _typed_dict_fits(given: Any, wanted: Any) -> bool:
    cls = _class(wanted)
    if not is_typeddict(cls):
        return isinstance(cls, type) and _subclass(dict, cls)
    has, needs = typing.get_type_hints(_class(given)), typing.get_type_hints(cls)
    return cls.__required_keys__ <= set(has) and all(
        fits(has[key], needs[key]) for key in set(has) & set(needs)
    )


def _elements(annotation: Any) -> tuple[list[Any], bool]:
    """Return the element types of an array type and whether their number is fixed."""
    args = list(get_args(annotation))
    if _class(annotation) is not tuple:
        return (args[:1] or [Any]), False
    if len(args) == 2 and args[1] is ...:
        return args[:1], False
    return (args, True) if args else ([Any], False)


def _array_fits(given: Any, wanted: Any) -> bool:
    (gives, gives_fixed), (wants, wants_fixed) = _elements(given), _elements(wanted)
    if wants_fixed:
        # A bare list or tuple of anything might have the right length; a list[X] is no tuple.
        if not gives_fixed:
            return gives == [Any]
        return len(gives) == len(wants) and all(map(fits, gives, wants))
    return all(fits(element, wants[0]) for element in gives)


def _class_fits(given: Any, wanted: Any) -> bool:
    given_class, wanted_class = _class(given), _class(wanted)
    if not isinstance(given_class, type) or not isinstance(wanted_class, type):
        return True
    if given_class is not wanted_class:
        return _widens(given_class, wanted_class)
    return all(map(fits, get_args(given), get_args(wanted)))


def _widens(given: type, wanted: type) -> bool:
    if given is int and wanted is float:
        return True
    if getattr(wanted, "_is_protocol", False) and not wanted.__module__.startswith("collections"):
        return True
    return _subclass(given, wanted)
