"""A JSON Patch corrects an input, and never tells of its values."""

from __future__ import annotations

import pytest

from engine.control.patching import Patch
from engine.errors import PatchInvalid


def test_operations_are_applied_in_order_and_nothing_else_changes() -> None:
    patch = Patch(
        '[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":"ü"},'
        '{"op":"move","from":"/b","path":"/c"},{"op":"add","path":"/d/-","value":3},'
        '{"op":"remove","path":"/e"}]'
    )
    given = b'{"a":1,"b":12345678901234567890123,"d":[1],"e":0,"f":1.10}'
    assert patch.apply(given, "s").decode() == (
        '{"a":"ü","d":[1,3],"f":1.1,"c":12345678901234567890123}'
    )


def test_a_whole_input_can_be_replaced() -> None:
    assert Patch(b'[{"op":"replace","path":"","value":7}]').apply(b'"secret"', "s") == b"7"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "{}",
        "[]",
        "3",
        "[3]",
        '[{"op":"replace"}]',
        '[{"op":"nonsense","path":"/a"}]',
        '[{"op":"add","path":"/a"}]',
        '[{"op":"add","path":"a","value":1}]',
        "[" + ",".join(['{"op":"remove","path":"/a"}'] * 101) + "]",
    ],
)
def test_what_is_no_patch_is_refused(raw: str) -> None:
    with pytest.raises(PatchInvalid, match="RFC 6902"):
        Patch(raw)


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ('{"op":"replace","path":"/b","value":1}', b'{"a":"secret"}'),
        ('{"op":"test","path":"/a","value":1}', b'{"a":"secret"}'),
        ('{"op":"add","path":"/a/b","value":1}', b'{"a":"secret"}'),
        ('{"op":"remove","path":"/9"}', b'["secret"]'),
        ('{"op":"remove","path":"/a"}', b'"secret"'),
    ],
)
def test_what_does_not_apply_names_the_operation_and_no_value(operation: str, given: bytes) -> None:
    patch = Patch(f'[{{"op":"test","path":"","value":{given.decode()}}},{operation}]')
    with pytest.raises(PatchInvalid, match=r"operation 1 \(\w+ /\w+(/b)?\) fails") as refused:
        patch.apply(given, "enrich")
    assert "secret" not in str(refused.value)
    assert "'enrich'" in str(refused.value)
