"""A plan as a picture: Mermaid text.

Owns: `mermaid`. Must not: know flows or runs; the plan is enough.
"""

from __future__ import annotations

from engine.workflow.plan import (
    BackNode,
    ChildNode,
    ChooseNode,
    EachNode,
    EndNode,
    ForkNode,
    JoinNode,
    Node,
    PagesNode,
    Plan,
    RelayNode,
    RepeatNode,
    StageNode,
    WaitNode,
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


def _shape(node: Node) -> str:  # noqa: C901, PLR0911 - one per kind of node
    match node:
        case StageNode():
            return f"[{_quoted(node.stage)}]"
        case PagesNode():
            return f"[{_quoted(node.stage)}]"
        case WaitNode():
            return f"[/{_quoted(f'wait for {node.name}')}/]"
        case ChildNode():
            return f"[[{_quoted(node.pipeline)}]]"
        case RepeatNode():
            return f"{{{{{_quoted(f'repeat until {node.until}')}}}}}"
        case BackNode():
            return "(( ))"
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


def _arrows(node: Node) -> list[tuple[str, int]]:  # noqa: PLR0911 - one per kind of node
    match node:
        case StageNode() | RelayNode() | JoinNode() | ChildNode():
            return [("", node.next)]
        case WaitNode():
            timeout = [] if node.otherwise is None else [("timeout", node.otherwise)]
            return [("", node.next), *timeout]
        case RepeatNode():
            return [("", node.body)]
        case BackNode():
            return [("again", node.repeat), ("", node.next)]
        case PagesNode():
            return [("", node.each)]
        case ForkNode():
            return [("", branch) for branch in node.branches]
        case EachNode():
            pages = [] if node.pages is None else [("pages", node.pages)]
            return [*pages, ("item", node.body)]
        case ChooseNode():
            # An expression is known by its text; its language does not help who looks.
            cases = [
                (case.partition(":")[2] if case in node.when else case, number)
                for case, number in node.cases.items()
            ]
            return cases if node.otherwise is None else [*cases, ("otherwise", node.otherwise)]
        case EndNode():
            return []


def _quoted(text: str) -> str:
    escaped = text.replace('"', "#quot;").replace("\n", " ")
    return f'"{escaped}"'
