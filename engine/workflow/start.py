"""A start: everything the engine needs to begin one run.

Owns: `Start` and the checking of what people pass to `start`, `send` and their bulk forms. Must
not: send anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

import msgspec

from engine.clock import Duration, duration_ms
from engine.errors import LengthsDiffer, OptionInvalid
from engine.workflow.names import attribute_pairs, key_name, priority_level, tenant_name
from engine.workflow.payload import InputCodec

T = TypeVar("T")

PerInput = str | Sequence[str | None] | Callable[[Any], str | None] | None
"""One value for all inputs, a list with one per input, or a function of the input."""


Attributes = Mapping[str, str | int | bool]
"""What a run can be found by: names to values; see `attribute_pairs`."""

AttributesPerInput = Attributes | Sequence[Attributes | None] | Callable[[Any], Attributes | None]
"""The same for all inputs, a list with one per input, or a function of the input."""


class Options(TypedDict):
    """The keyword arguments of `Engine.start`."""

    tenant: str
    key: str | None
    delay_ms: int
    priority: int | None
    attributes: tuple[str, ...]


class Start(msgspec.Struct, frozen=True, gc=False):
    """One run to begin. `payload` is JSON; `key` and `priority` are None when not given.

    `attributes` are words `name=value`.
    """

    payload: bytes
    tenant: str
    key: str | None = None
    delay_ms: int = 0
    priority: int | None = None
    attributes: tuple[str, ...] = ()

    def options(self) -> Options:
        """Return all but the payload, as keyword arguments of `Engine.start`."""
        return {
            "tenant": self.tenant,
            "key": self.key,
            "delay_ms": self.delay_ms,
            "priority": self.priority,
            "attributes": self.attributes,
        }


def one_start(
    payload: bytes,
    tenant: object,
    key: object,
    delay: Duration | None,
    priority: object,
    attributes: Attributes | None = None,
) -> Start:
    """Return a checked start.

    Raises:
        TenantInvalid, KeyInvalid, InvalidDuration, OptionInvalid, AttributeInvalid: as named.
    """
    return Start(
        payload,
        tenant_name(tenant),
        key_name(key),
        _delay_ms(delay),
        priority_level(priority),
        attribute_pairs(attributes),
    )


def bulk_starts(
    codec: InputCodec,
    inputs: Sequence[Any],
    tenant: PerInput,
    keys: PerInput,
    delay: Duration | None = None,
    priority: object = None,
    attributes: AttributesPerInput | None = None,
) -> list[Start]:
    """Return one checked start per input; raises LengthsDiffer and what `one_start` raises."""
    if isinstance(keys, str):
        raise OptionInvalid("keys", keys, "a list with one per input, or a function of the input")
    delay_ms, level = _delay_ms(delay), priority_level(priority)
    if tenant is None or isinstance(tenant, str):
        tenants = [tenant_name(tenant)] * len(inputs)
    else:
        tenants = [tenant_name(one) for one in _per_input("tenant", tenant, inputs)]
    encode = codec.encode_item
    all_keys, pairs = _per_input("keys", keys, inputs), _attributes_per_input(attributes, inputs)
    return [
        Start(encode(value), whose, key_name(key), delay_ms, level, told)
        for value, whose, key, told in zip(inputs, tenants, all_keys, pairs, strict=True)
    ]


def _attributes_per_input(
    given: AttributesPerInput | None, inputs: Sequence[Any]
) -> Sequence[tuple[str, ...]]:
    if given is None or isinstance(given, Mapping):
        return [attribute_pairs(given)] * len(inputs)
    return [attribute_pairs(one) for one in _per_input("attributes", given, inputs)]


def _delay_ms(delay: Duration | None) -> int:
    return 0 if delay is None else duration_ms(delay, name="delay")


def _per_input(
    name: str,
    given: Sequence[T | None] | Callable[[Any], T | None] | None,
    inputs: Sequence[Any],
) -> Sequence[T | None]:
    if given is None:
        return [None] * len(inputs)
    if callable(given):
        return [given(value) for value in inputs]
    if len(given) != len(inputs):
        raise LengthsDiffer(name, len(given), len(inputs))
    return given
