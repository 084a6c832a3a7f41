"""A plan as a picture: Mermaid text.

Owns: `mermaid`. Must not: know flows or runs; the plan is enough.
"""

from __future__ import annotations

from engine.workflow.plan import (
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    Node,
    Plan,
    RelayNode,
    StageNode,
)


def mermaid(plan: Plan) -> str:
    """Return a plan as a Mermaid flowchart, one line a node and one an arrow."""
    shapes = [f"    n{number}{_shape(node)}" for number, node in enumerate(plan.nodes)]
    arrows = [
        f"    n{number} -->{f'|{_quoted(label)}|' if label else ''} n{target}"
        for number, node in enumerate(plan.nodes)
        for label, target in _arrows(node)
    ]
    return "\n".join(["flowchart LR", *shapes, *arrows]) + "\n"


def _shape(node: Node) -> str:  # noqa: PLR0911 - one per kind of node
    match node:
        case StageNode():
            return f"[{_quoted(node.stage)}]"
        case RelayNode():
            return "(( ))"
        case ForkNode():
            return '{{"fork"}}'
        case JoinNode():
            return '{{"join"}}'
        case EachNode():
            return f"[/{_quoted(f'each, {node.window} at a time')}/]"
        case ChooseNode():
            return f"{{{_quoted(node.decider)}}}"
        case EndNode():
            return '(["end"])'


def _arrows(node: Node) -> list[tuple[str, int]]:
    match node:
        case StageNode() | RelayNode() | JoinNode():
            return [("", node.next)]
        case ForkNode():
            return [("", branch) for branch in node.branches]
        case EachNode():
            return [("item", node.body)]
        case ChooseNode():
            cases = list(node.cases.items())
            return cases if node.otherwise is None else [*cases, ("otherwise", node.otherwise)]
        case EndNode():
            return []


def _quoted(text: str) -> str:
    escaped = text.replace('"', "#quot;").replace("\n", " ")
    return f'"{escaped}"'
