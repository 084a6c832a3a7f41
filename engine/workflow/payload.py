"""Arguments and results as JSON: encoded by whoever sends, validated by whoever receives.

Owns: `InputCodec` and `OutputCodec`. Must not: know queues, runs or limits of size.

Wire rule: a stage with one payload parameter takes the JSON value itself, with several a JSON array
of them in order, with none anything (`null` when sent). Both directions are hot: adapters are built
on first use, then one call into compiled code does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any, NamedTuple, cast

import msgspec
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from engine.errors import DefinitionInvalid, PayloadInvalid, Problem
from engine.workflow.fitting import tuple_of

NULL = b"null"
UNTYPED: tuple[Any, ...] = (Any, object, Parameter.empty)

_MISSING: Any = Parameter.empty
_PLAIN = (int, str, bool, float, type(None), None)
_LOSSLESS = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")


def _jsonable(value: Any) -> Any:
    return to_jsonable_python(value, by_alias=False, bytes_mode="base64")


_encoder = msgspec.json.Encoder(enc_hook=_jsonable)
encode_untyped: Callable[[Any], bytes] = _encoder.encode
"""Encode any value that has an obvious JSON form: plain data, dataclasses, models, dates."""
decode_untyped: Callable[[bytes], Any] = msgspec.json.Decoder().decode


class Field(NamedTuple):
    """One payload parameter. `annotation` is `Parameter.empty` when there is none."""

    name: str
    annotation: Any = Parameter.empty
    default: Any = Parameter.empty


def problems_of(error: Exception) -> list[Problem]:
    """Return what is wrong, by location and kind; values and messages stay out of it."""
    if not isinstance(error, ValidationError):
        return [Problem("", type(error).__name__)]
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [Problem(_location(detail["loc"]), detail["type"]) for detail in details]


def _location(loc: Sequence[int | str]) -> str:
    return ".".join(str(part)[:40] for part in loc[:10])


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=_LOSSLESS)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(annotation)  # the type is a model and brings its own configuration


class ValueCodec:
    """One declared type, both ways. Untyped values pass as whatever JSON they are.

    Models are written by field name and without computed fields, and read by name or alias, so that
    what one stage returns the next can always read. A value that is not of the type but converts to
    it (a dict for a model) is accepted when encoded; anything else raises PayloadInvalid.
    """

    __slots__ = ("_annotation", "_part", "_validate", "_write", "owner")

    def __init__(self, owner: str, part: str, annotation: Any) -> None:
        self.owner = owner
        self._part = part
        self._annotation = annotation
        self._validate: Callable[..., Any] | None = None
        self._write: Callable[..., bytes] | None = None

    def decode(self, raw: bytes) -> Any:
        """Return the validated value of `raw`; raises PayloadInvalid."""
        try:
            if self._validate is None:
                self._build()
            return self._validate(raw)  # type: ignore[misc]
        except (ValidationError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._refusal(error) from None

    def encode(self, value: Any) -> bytes:
        """Return `value` as JSON; raises PayloadInvalid."""
        try:
            if self._write is None:
                self._build()
            return self._write(value)  # type: ignore[misc]
        except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
            return self._encode_converted(value, error)

    def _encode_converted(self, value: Any, error: Exception) -> bytes:
        if self._annotation in UNTYPED:
            raise self._refusal(error) from None
        return self.encode_converted(value)

    def encode_converted(self, value: Any) -> bytes:
        """Return `value`, converted to the declared type, as JSON; the slow and strict way."""
        adapter = self._adapter()
        try:
            converted = adapter.validate_python(value)
            return adapter.serializer.to_json(converted, round_trip=True, warnings="error")
        except (ValidationError, PydanticSerializationError, RecursionError) as problem:
            raise self._refusal(problem) from None

    def _adapter(self) -> TypeAdapter[Any]:
        try:
            return _adapter(self._annotation)
        except PydanticUserError as error:
            problem = str(error).splitlines()[0]
            raise DefinitionInvalid(
                f"The {self._part} of {self.owner!r}",
                f"has a type that cannot cross the wire: {problem}",
                "Use a model, a dataclass or plain data.",
            ) from error

    def _build(self) -> None:
        if self._annotation in UNTYPED:
            self._validate, self._write = decode_untyped, encode_untyped
            return
        adapter = self._adapter()
        validate_json, to_json = adapter.validator.validate_json, adapter.serializer.to_json

        def validate(raw: bytes) -> Any:
            return validate_json(raw, by_alias=True, by_name=True)

        # The serializer lets None pass for any type, without a warning.
        takes_none = adapter.validator.isinstance_python(None)

        def write(value: Any) -> bytes:
            if value is None and not takes_none:
                raise TypeError
            return to_json(value, round_trip=True, warnings="error")

        plain = type(None) if self._annotation is None else self._annotation

        def write_plain(value: Any) -> bytes:
            # The exact type needs no check by the serializer, which costs more than the writing.
            return to_json(value) if type(value) is plain else write(value)

        self._validate = validate
        self._write = write_plain if self._annotation in _PLAIN else write

    def _refusal(self, error: Exception) -> PayloadInvalid:
        return PayloadInvalid(self.owner, self._part, problems_of(error))


class OutputCodec(ValueCodec):
    """The result of a stage. `encode(value) -> bytes`, `decode(raw) -> value`."""

    __slots__ = ()

    def __init__(self, owner: str, annotation: Any) -> None:
        super().__init__(owner, "result", annotation)


class InputCodec:
    """The payload parameters of a stage.

    Attributes:
        owner: what errors call it.
        fields: the payload parameters in order.
    """

    __slots__ = ("_count", "_defaults", "_one", "_tuples", "fields", "owner")

    def __init__(self, owner: str, fields: Sequence[Field]) -> None:
        self.owner = owner
        self.fields = tuple(fields)
        self._count = len(self.fields)
        self._defaults = any(field.default is not _MISSING for field in self.fields)
        self._one = (
            ValueCodec(owner, f"input {self.fields[0].name!r}", self.fields[0].annotation)
            if self._count == 1
            else None
        )
        self._tuples: dict[int, ValueCodec] = {}

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> bytes:
        """Return arguments as a payload.

        Raises:
            TypeError: the arguments do not match the parameters, as a call would raise it.
            PayloadInvalid: a value does not have the declared type.
        """
        if kwargs or len(args) != self._count:
            args = self._bound(args, kwargs or {})
        if self._one is not None:
            return self._one.encode(args[0])
        if not self._count:
            return NULL
        several = self._several(self._count)
        # The serializer lets a None inside the tuple pass unseen, so look closer then.
        unsure = any(value is None for value in args)
        return several.encode_converted(tuple(args)) if unsure else several.encode(tuple(args))

    def encode_item(self, item: Any) -> bytes:
        """Return one entry of `start_many`: the value, or a sequence of them for several fields."""
        if self._one is not None:
            return self._one.encode(item)
        return self.encode(cast("Sequence[Any]", item)) if self._count else NULL

    def decode(self, raw: bytes) -> list[Any]:
        """Return the payload arguments in order; raises PayloadInvalid."""
        if self._one is not None:
            return [self._one.decode(raw)]
        if not self._count:
            return []
        if self._defaults:
            return self._decode_shorter(raw)
        return list(self._several(self._count).decode(raw))

    def _decode_shorter(self, raw: bytes) -> list[Any]:
        """Fill up from defaults what an older sender did not know of yet."""
        try:
            given = len(msgspec.json.decode(raw, type=list[msgspec.Raw]))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            given = self._count
        rest = self.fields[min(given, self._count) :]
        if any(field.default is _MISSING for field in rest):
            given, rest = self._count, ()
        values = self._several(self._count - len(rest)).decode(raw)
        return [*values, *(field.default for field in rest)]

    def _several(self, count: int) -> ValueCodec:
        codec = self._tuples.get(count)
        if codec is None:
            types = [
                Any if field.annotation is _MISSING else field.annotation
                for field in self.fields[:count]
            ]
            names = ", ".join(field.name for field in self.fields)
            codec = ValueCodec(self.owner, f"input ({names})", tuple_of(types))
            self._tuples[count] = codec
        return codec

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        if len(args) > self._count:
            raise TypeError(f"{self.owner} takes {self._count} inputs, {len(args)} were given")
        bound = dict(zip((field.name for field in self.fields), args, strict=False))
        for name, value in kwargs.items():
            if name in bound or all(field.name != name for field in self.fields):
                raise TypeError(f"{self.owner} got an unexpected or repeated input {name!r}")
            bound[name] = value
        for field in self.fields:
            if bound.setdefault(field.name, field.default) is _MISSING:
                raise TypeError(f"{self.owner} misses the input {field.name!r}")
        return [bound[field.name] for field in self.fields]
