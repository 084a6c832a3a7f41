"""A picture as a Mermaid flowchart: one line a shape and one an arrow; others lay it out."""

from __future__ import annotations

from engine.workflow.drawing.picture import Arrow, Form, Picture, Shape
from engine.workflow.drawing.progress import State

_AROUND = {
    Form.STAGE: ("[", "]"),
    Form.UNDO: ("[", "]"),
    Form.DOT: ("((", "))"),
    Form.SLEEP: ("(", ")"),
    Form.FORK: ("{{", "}}"),
    Form.JOIN: ("{{", "}}"),
    Form.LOOP: ("{{", "}}"),
    Form.EACH: ("[/", "/]"),
    Form.WAIT: ("[/", "/]"),
    Form.CHILD: ("[[", "]]"),
    Form.CHOICE: ("{", "}"),
    Form.END: ("([", "])"),
}
_CLASSES = {
    State.IDLE: "idle fill:#f6f8fa,stroke:#8c959f,color:#57606a",
    State.ACTIVE: "active fill:#ddf4ff,stroke:#0969da,color:#0a3069",
    State.RETRIED: "retried fill:#fff8c5,stroke:#9a6700,color:#4d2d00",
    State.DONE: "done fill:#dafbe1,stroke:#1a7f37,color:#044f1e",
    State.DEAD: "dead fill:#ffebe9,stroke:#cf222e,color:#82071e",
    State.CAUGHT: "caught fill:#fff1e5,stroke:#bc4c00,color:#5c2200",
    State.UNDONE: "undone fill:#fbefff,stroke:#8250df,color:#3e1f79",
}
# What Mermaid reads as its own: quotes, tags, entities, directives, Markdown.
_ESCAPED = {ord(sign): f"#{ord(sign)};" for sign in '"<>#&%`\\'}
_ESCAPED[ord('"')] = "#quot;"


def mermaid(picture: Picture) -> str:
    """Return the picture as Mermaid text."""
    lines = ["flowchart LR"]
    lines += [f"    {shape.id}{_shape(shape)}" for shape in picture.shapes]
    lines += [f"    {_arrow(arrow)}" for arrow in picture.arrows]
    lines += _classes(picture)
    return "\n".join(lines) + "\n"


def _shape(shape: Shape) -> str:
    left, right = _AROUND[shape.form]
    state = () if shape.state is None else (shape.state.value,)
    # A dot has no room for words; its colour tells its state.
    lines = ("",) if shape.form is Form.DOT else (shape.title, *shape.notes, *state)
    return f"{left}{_quoted(*lines)}{right}"


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.is_dashed else "-->"
    label = f"|{_quoted(arrow.label)}|" if arrow.label else ""
    return f"{arrow.source} {line}{label} {arrow.target}"


def _classes(picture: Picture) -> list[str]:
    lines: list[str] = []
    for state, style in _CLASSES.items():
        members = [shape.id for shape in picture.shapes if shape.state is state]
        if members:
            name = style.partition(" ")[0]
            lines += [f"    classDef {style}", f"    class {','.join(members)} {name}"]
    return lines


def _quoted(*lines: str) -> str:
    return f'"{"<br/>".join(map(_escaped, lines)) or " "}"'


def _escaped(line: str) -> str:
    plain = "".join(sign if sign.isprintable() else " " for sign in line)
    return plain.translate(_ESCAPED)
