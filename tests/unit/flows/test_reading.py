"""Texts: what is read from YAML and JSON, and that a hostile text ends quickly with a name."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import FlowInvalid
from engine.flows.reading import MAX_TEXT_DEPTH, read_file, read_text
from engine.flows.shapes import MAX_DOCUMENT_BYTES


def refusal(text: str | bytes, **options) -> str:
    began = time.perf_counter()
    with pytest.raises(FlowInvalid) as caught:
        read_text(text, **options)
    assert time.perf_counter() - began < 3.0
    return caught.value.problems[0].problem


def test_yaml_and_json_give_the_same_data() -> None:
    data = {"steps": [{"each": ["a"], "window": 3}], "context": {"x": None, "y": 1.5, "z": True}}
    assert read_text(json.dumps(data)) == data
    assert read_text(json.dumps(data), is_json=False) == data
    yaml = "steps:\n- each: [a]\n  window: 3\ncontext: {x: ~, y: 1.5, z: true}\n"
    assert read_text(yaml) == data


def test_yaml_words_are_words() -> None:
    text = (
        "a: yes\nb: on\nc: off\nd: 2026-01-01\ne: 1:30\nf: 010\ng: 1_000\nh: .nan\ni: <<\non: 1\n"
    )
    assert read_text(text) == {
        "a": "yes", "b": "on", "c": "off", "d": "2026-01-01", "e": "1:30", "f": "010",
        "g": "1_000", "h": ".nan", "i": "<<", "on": 1,
    }  # fmt: skip
    assert read_text("a:\nb: null\nc: 1e3\nd: -7\ne: .5\n") == {
        "a": None, "b": None, "c": 1000.0, "d": -7, "e": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: *x\n", "anchor or alias in line 1"),
        ("a: *nope\n", "anchor or alias"),
        ("a: !!python/object/apply:os.system ['true']\n", "a tag in line 1"),
        ("a: !!str 3\n", "a tag in line 1"),
        ("!x\na: 1\n", "a tag"),
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("3: 1\n", "'3' is not text; quote it"),
        ("? [a]\n: 1\n", "is not text"),
        ("a: [1\n", "no YAML"),
        ("a: b: c\n", "no YAML"),
        ("a: 1\n---\nb: 2\n", "no YAML"),
        ("\ta: 1\n", "no YAML"),
        ("a: \x00\n", "no YAML"),
        ("a: " + "9" * 5_000 + "\n", "no YAML"),
        ("[" * 5_000, "nested deeper than 200"),
        ("- " * 5_000 + "x\n", "nested deeper than 200"),
        ("{a: " * 300 + "1" + "}" * 300, "nested deeper than 200"),
    ],
)
def test_yaml_that_cannot_be_read_is_told(text: str, words: str) -> None:
    assert words in refusal(text, is_json=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"a": ', "no JSON"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": ' + "9" * 5_000 + "}", "no JSON"),
        ("{" * 10, "line 1, column 2"),
        ('{"a":' * 100_000, "nested"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", f"nested deeper than {MAX_TEXT_DEPTH}"),
    ],
)
def test_json_that_cannot_be_read_is_told(text: str, words: str) -> None:
    assert words in refusal(text[:MAX_DOCUMENT_BYTES])


def test_a_billion_laughs_are_not_even_begun() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    assert "anchor" in refusal("\n".join(lines))


def test_a_text_is_bounded_and_is_utf_8(tmp_path: Path) -> None:
    assert "262,144 bytes" in refusal("x: " + "y" * MAX_DOCUMENT_BYTES)
    assert "not UTF-8" in refusal(b"a: \xff\n")
    assert "not UTF-8" in refusal("a: \ud800\n")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_DOCUMENT_BYTES * 4))
    with pytest.raises(FlowInvalid, match="262,144"):
        read_file(large)


def test_the_largest_texts_are_read_in_bounded_time() -> None:
    size = MAX_DOCUMENT_BYTES
    for text in ("- a\n" * (size // 4), "[" + "a," * (size // 2 - 2) + "]", "x" * (size - 1)):
        began = time.perf_counter()
        read_text(text, is_json=False)
        assert time.perf_counter() - began < 10.0
    keys = "".join(f"k{n}: 1\n" for n in range(size // 11))
    began = time.perf_counter()
    assert len(read_text(keys)) == size // 11
    assert time.perf_counter() - began < 10.0


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "a.yml").write_text("a: 1")
    assert read_file(tmp_path / "a.json") == read_file(str(tmp_path / "a.yml")) == {"a": 1}
    (tmp_path / "b.json").write_text("a: 1")
    with pytest.raises(FlowInvalid, match=r"b\.json"):
        read_file(tmp_path / "b.json")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_any_text_is_data_or_a_named_refusal(text: str | bytes) -> None:
    for is_json in (True, False, None):
        with suppress(FlowInvalid):
            read_text(text, is_json=is_json)
