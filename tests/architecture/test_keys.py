"""Each key is spelled once, in `engine/store/keys.py`, and documented as it is spelled."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from engine.store.keys import SHAPES, Keys, lua_spelled
from tests.architecture.redis_keys import PAGE, page

ROOT = Path(__file__).resolve().parents[2]
TYPES = {"string", "hash", "list", "set", "zset", "stream"}
LUA = sorted((ROOT / "engine" / "store" / "lua").rglob("*.lua"))


def test_the_page_of_keys_says_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.architecture.redis_keys"


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_says_everything(name: str) -> None:
    shape = SHAPES[name]
    assert shape.type in TYPES
    assert all((shape.life, shape.owner, shape.holds))


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_used(name: str) -> None:
    spoken = re.compile(rf'\bkey\.{name}\(|\bname\(\s*"{name}"')
    sources = [*LUA, *sorted((ROOT / "engine").rglob("*.py"))]
    assert any(spoken.search(source.read_text()) for source in sources)


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_a_script_names_known_keys_alone(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"\bkey\.(\w+)", text)) <= SHAPES.keys()
    if path.stem != "clock_shifted":
        assert "KEYS[" not in re.sub(r"^--.*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_a_script_gives_a_key_as_many_parts_as_it_has(path: Path) -> None:
    for name, arguments in re.findall(
        r"\bkey\.(\w+)\(((?:[^()]|\([^()]*(?:\([^()]*\))?[^()]*\))*)\)", path.read_text()
    ):
        flat = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", arguments))
        number = len(flat.split(",")) if flat.strip() else 0
        assert number == len(SHAPES[name].fields), f"key.{name}({arguments})"


def test_no_other_room_spells_a_key() -> None:
    heads = {shape.template.split("{", 1)[0] for shape in SHAPES.values() if "{" in shape.template}
    for source in sorted((ROOT / "engine").rglob("*.py")):
        if source.name == "keys.py":
            continue
        spelled = re.findall(r'f"\{[\w.]*prefix\}', source.read_text())
        assert not spelled, f"{source}: {heads} are spelled in keys.py"


def test_every_key_carries_the_shards_hash_tag() -> None:
    assert Keys("ns", 3).name("queue", queue="q") == "{ns:3}:queue:q"


def test_lua_and_python_build_the_same_names() -> None:
    assert lua_spelled("f(key.join(a, b[1]), key.queues())").endswith(
        "f((P .. 'run:' .. a .. ':join:' .. b[1]), (P .. 'queues'))"
    )
    assert Keys().name("join", run="r", position="1.2") == "{cb:0}:run:r:join:1.2"


def test_an_expression_in_a_key_is_one_part_of_it() -> None:
    spelled = lua_spelled("key.join(run_of(id), join_of(id, key.order()) or '')")
    assert spelled.endswith(
        "(P .. 'run:' .. (run_of(id)) .. ':join:' .. (join_of(id, (P .. 'order')) or ''))"
    )


# The alphabets of `engine.workflow.names`: a queue, stage or pipeline has no colon, a tenant may.
ALPHABETS = {"tenant": "a:/@+.-_9", "queue": "a._-9"}
CLOSED = {  # what a part may hold, so that no two keys of different parts have one name
    "queue": "[a-zA-Z0-9_.-]+",
    "tenant": "[A-Za-z0-9_.:@/+*-]+",
    "run": "[0-9a-f]{32}",
    "position": "[0-9.]+",
    "consumer": "[0-9a-f]{32}",
    "type": "[a-zA-Z0-9_.-]+",
    "month": "[0-9]{4}-[0-9]{2}",
    "hash": "[0-9a-f]+",
    "waiter": "[0-9a-f]{32}",
    "duty": "[a-zA-Z0-9_.-]+",
}


def pattern(name: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", SHAPES[name].template)
    return re.compile(
        "".join(
            CLOSED.get(part, ".+") if i % 2 else re.escape(part) for i, part in enumerate(parts)
        )
    )


def example(name: str) -> str:
    values = {"run": "a" * 32, "consumer": "b" * 32, "waiter": "c" * 32, "month": "2026-01"}
    values |= {
        "position": "1.2",
        "hash": "ab12",
        "tenant": "a:b/c",
        "queue": "q.1",
        "digest": "k:1",
    }
    shape = SHAPES[name]
    return shape.template.format(**{field: values.get(field, "x") for field in shape.fields})


def test_no_two_shapes_can_have_one_name() -> None:
    for one, other in combinations(SHAPES, 2):
        assert not pattern(one).fullmatch(example(other)), f"{example(other)} could be a {one}"
        assert not pattern(other).fullmatch(example(one)), f"{example(one)} could be a {other}"


def test_an_idempotency_key_can_be_read_in_one_way_alone() -> None:
    keys = Keys()
    first = keys.name("idempotency", tenant="acme", type="x", digest="q:k")
    second = keys.name("idempotency", tenant="acme:x", type="q", digest="k")
    assert first != second
