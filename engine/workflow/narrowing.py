"""Whether an input still takes all that it took before, judged from two JSON Schemas alone.

Owns: the rules of `narrowed`. Must not: know stages or plans.

As where types are fitted together, what cannot be judged passes: a side that takes anything. Any
other demand that is new or stricter is told, by the place in the value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.workflow.shapes import TYPE_NAME, Schema

_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_OTHERS = ("pattern", "format", "multipleOf", "propertyNames", "contentEncoding")
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def narrowed(old: Schema, new: Schema) -> str | None:
    """Return what of `old` is no longer taken by `new`, in words; None if it takes everything."""
    return _Comparison().misfit(_Node(old, _defs(old)), _Node(new, _defs(new)), "")


class _Node(NamedTuple):
    """A part of a schema and the definitions it may refer to."""

    schema: Schema
    defs: dict[str, Schema]

    def part(self, schema: Schema) -> _Node:
        """A part within, which may bring definitions of its own."""
        return _Node(schema, _defs(schema) or self.defs)

    def resolved(self) -> _Node:
        """What a reference leads to, else itself."""
        node = self
        for _ in range(100):
            reference = node.schema.get("$ref")
            if reference is None:
                break
            node = _Node(node.defs.get(reference.rpartition("/")[2], {}), node.defs)
        return node

    def either(self) -> list[_Node]:
        """The alternatives of a union; none where it is no union."""
        found = self.schema.get("anyOf") or self.schema.get("oneOf") or []
        return [self.part(schema).resolved() for schema in found]

    def values(self) -> list[Any] | None:
        """The values of a literal or an enumeration, else None."""
        if "const" in self.schema:
            return [self.schema["const"]]
        return self.schema.get("enum")


class _Comparison:
    """One comparison; remembers the pairs it is within, since types may hold themselves."""

    def __init__(self) -> None:
        self._within: set[tuple[int, int]] = set()

    def misfit(self, old: _Node, new: _Node, path: str) -> str | None:
        """Say what of `old` does not fit into `new`, with its place."""
        old, new = old.resolved(), new.resolved()
        pair = (id(old.schema), id(new.schema))
        if pair in self._within or not _demanding(old.schema) or not _demanding(new.schema):
            return None
        self._within.add(pair)
        try:
            return self._union(old, new, path)
        finally:
            self._within.discard(pair)

    def _union(self, old: _Node, new: _Node, path: str) -> str | None:
        if members := old.either():
            return _first(self.misfit(member, new, path) for member in members)
        if members := new.either():
            found = [self.misfit(old, member, path) for member in members]
            if None in found:
                return None
            return found[0] if len(found) == 1 else f"{_place(path)}{_worded(old)} is not taken"
        return self._plain(old, new, path)

    def _plain(self, old: _Node, new: _Node, path: str) -> str | None:
        if old.schema.get(TYPE_NAME) != new.schema.get(TYPE_NAME):
            return f"{_place(path)}takes {_worded(new)}, was {_worded(old)}"
        wanted, given = new.values(), old.values()
        if wanted is not None:
            lost = [value for value in given or [] if value not in wanted]
            if given is None or lost:
                return f"{_place(path)}{f'{lost[0]!r}' if lost else _worded(old)} is not taken"
            return None
        kind, kinds = new.schema.get("type"), _kinds(old)
        if kind is not None and not all(_is_kind(one, kind) for one in kinds):
            return f"{_place(path)}takes {_worded(new)}, was {_worded(old)}"
        return _first(
            (
                _stricter(old.schema, new.schema, path),
                self._fields(old, new, path),
                self._items(old, new, path),
            )
        )

    def _fields(self, old: _Node, new: _Node, path: str) -> str | None:
        """Compare objects: fields by name, and what dictionaries hold."""
        if new.schema.get("type") != "object":
            return None
        had: dict[str, Schema] = old.schema.get("properties", {})
        has: dict[str, Any] = new.schema.get("properties", {})
        rest = new.schema.get("additionalProperties", True)
        for name in new.schema.get("required", ()):
            if name not in old.schema.get("required", ()):
                return f"{_place(path)}field {name!r} is now required"
        for name, schema in had.items():
            target = has.get(name, rest)
            if target is False:
                return f"{_place(path)}field {name!r} is forbidden"
            if isinstance(target, dict):
                found = self.misfit(old.part(schema), new.part(target), f"{path}.{name}")
                if found:
                    return found
        held = old.schema.get("additionalProperties")
        if isinstance(held, dict) and isinstance(rest, dict):
            return self.misfit(old.part(held), new.part(rest), f"{path}.*")
        return None

    def _items(self, old: _Node, new: _Node, path: str) -> str | None:
        """Compare arrays: place by place as far as places are told apart, then all the others."""
        if new.schema.get("type") != "array":
            return None
        given: list[Schema] = old.schema.get("prefixItems", [])
        wanted: list[Schema] = new.schema.get("prefixItems", [])
        rest, others = new.schema.get("items"), old.schema.get("items")
        for at in range(max(len(given), len(wanted))):
            here = given[at] if at < len(given) else others
            there = wanted[at] if at < len(wanted) else rest
            if isinstance(here, dict) and isinstance(there, dict):
                found = self.misfit(old.part(here), new.part(there), f"{path}[{at}]")
                if found:
                    return found
        if isinstance(others, dict) and isinstance(rest, dict):
            return self.misfit(old.part(others), new.part(rest), f"{path}[]")
        return None


def _stricter(old: Schema, new: Schema, path: str) -> str | None:
    for keyword in (*_AT_LEAST, *_AT_MOST, *_OTHERS):
        if keyword not in new:
            continue
        bound, before = new[keyword], old.get(keyword)
        same = bound == before
        if before is not None and keyword in _AT_LEAST:
            same = bound <= before
        if before is not None and keyword in _AT_MOST:
            same = bound >= before
        if not same:
            was = "" if before is None else f", was {before}"
            return f"{_place(path)}{keyword} is {bound}{was}"
    return None


def _kinds(node: _Node) -> list[str | None]:
    values = node.values()
    if values is None:
        return [node.schema.get("type")]
    return [_KINDS.get(type(value)) for value in values]


def _is_kind(given: str | None, wanted: str) -> bool:
    return given in (wanted, None) or (given == "integer" and wanted == "number")


def _demanding(schema: Schema) -> bool:
    return any(keyword != "$defs" for keyword in schema)


def _defs(schema: Schema) -> dict[str, Schema]:
    defs: dict[str, Schema] = schema.get("$defs", {})
    return defs


def _first(found: Any) -> str | None:
    return next((misfit for misfit in found if misfit), None)


def _worded(node: _Node) -> str:
    return str(node.schema.get(TYPE_NAME) or node.schema.get("type") or "another type")


def _place(path: str) -> str:
    return f"{path.lstrip('.')}: " if path else ""
