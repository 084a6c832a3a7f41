"""Where the messages of a run can be: every position that its plan allows at a moment.

Owns: the derivation, so that a run's messages are found without looking through a queue. Must not:
know the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from engine.workflow.nodes import BackNode, EachNode, RepeatNode, StageNode
from engine.workflow.plan import Plan

AT_MOST = 2_000
_PAGES_AT_MOST = 100
_ROUNDS_AT_MOST = 200


def possible(
    plan: Plan, open_items: Mapping[str, Sequence[int]], *, at_most: int = AT_MOST
) -> tuple[list[str], bool]:
    """Return the positions at which a run may have a message, and whether there were more.

    Args:
        plan: what the run follows.
        open_items: of each open each, by its position or its body's, the items that have begun and
            not ended.
        at_most: how many positions to give. Of a paged each at most 100 pages are thought of, of a
            repeat at most 200 rounds.
    """
    found = list(islice(_within(plan, 0, len(plan.nodes), "", open_items), at_most + 1))
    return found[:at_most], len(found) > at_most


def node_of(position: str) -> int:
    """Return the number of the node that a position stands at."""
    return int(position.removeprefix("~").partition(".")[0])


def _within(
    plan: Plan, first: int, end: int, suffix: str, open_items: Mapping[str, Sequence[int]]
) -> Iterator[str]:
    number = first
    while number < end:
        node = plan.nodes[number]
        position = f"{number}{suffix}"
        yield position
        if isinstance(node, StageNode) and node.undo is not None:
            yield f"~{position}"
        if isinstance(node, EachNode):
            if node.pages is not None:
                yield from (f"{node.pages}{suffix}.{page}" for page in range(_PAGES_AT_MOST))
            # The store names an each by its own position or by that of its body.
            begun = open_items.get(position) or open_items.get(f"{node.body}{suffix}", ())
            for item in begun:
                yield from _within(plan, node.body, node.join, f"{suffix}.{item}", open_items)
            number = node.join
        elif isinstance(node, RepeatNode):
            behind = _back_of(plan, number) + 1
            for turn in range(min(node.limit, _ROUNDS_AT_MOST)):
                yield from _within(plan, number + 1, behind, f"{suffix}.{turn}", open_items)
            number = behind
        else:
            number += 1


def _back_of(plan: Plan, repeat: int) -> int:
    return next(
        number
        for number, node in enumerate(plan.nodes)
        if isinstance(node, BackNode) and node.repeat == repeat
    )
