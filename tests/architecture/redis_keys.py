"""Writes `docs/redis_keys.md` from the table of keys: `python -m tests.architecture.redis_keys`."""

from __future__ import annotations

from pathlib import Path

from engine.store.keys import SCHEMA_VERSION, SHAPES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "redis_keys.md"

_HEAD = f"""\
# Redis keys

Every key that the engine keeps, as `engine/store/keys.py` spells it; this page is written from
there by `python -m tests.architecture.redis_keys`, and a test holds the two against each other.

A full name is `{{namespace:shard}}:` and the name below, such as `{{cb:0}}:queue:default`: these
braces are the hash tag that keeps all keys of a shard in one slot of a Redis Cluster. In the names
below braces mark what varies. The layout has version {SCHEMA_VERSION}, stored under `schema`; a
process that knows another one refuses to work. Life says when a key goes away: a time is a TTL, the
rest ends by what the engine does.

| key | type | life | made by | holds |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = (
        (f"`{shape.template}`", shape.type, shape.life, shape.owner, shape.holds)
        for shape in SHAPES.values()
    )
    lines = (" | ".join(part.replace("|", "\\|") for part in row) for row in rows)
    return _HEAD + "".join(f"| {line} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
