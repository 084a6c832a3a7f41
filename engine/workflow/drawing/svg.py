"""A picture as SVG: one file without scripts, fonts or links, readable by screen readers.

Owns: shapes, colours and the escaping of every text. Must not: decide where anything stands.

The colours of light surroundings are written on the shapes, those of dark ones in a style: where a
page's policy forbids styles, the picture stays a light one on its own ground.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from engine.workflow.drawing.layout import LINE, Box, Path, Point, laid_out
from engine.workflow.drawing.picture import Form, Picture
from engine.workflow.drawing.progress import State

# name: fill and line on light ground, fill and line on dark ground
_COLOURS: dict[State | None, tuple[str, str, str, str, str]] = {
    None: ("plain", "#f6f8fa", "#57606a", "#161b22", "#8b949e"),
    State.IDLE: ("idle", "#f6f8fa", "#afb8c1", "#161b22", "#484f58"),
    State.ACTIVE: ("active", "#ddf4ff", "#0969da", "#0c2d6b", "#58a6ff"),
    State.RETRIED: ("retried", "#fff8c5", "#9a6700", "#4b2900", "#d29922"),
    State.DONE: ("done", "#dafbe1", "#1a7f37", "#033a16", "#3fb950"),
    State.DEAD: ("dead", "#ffebe9", "#cf222e", "#67060c", "#f85149"),
    State.CAUGHT: ("caught", "#fff1e5", "#bc4c00", "#5a1e02", "#f0883e"),
    State.UNDONE: ("undone", "#fbefff", "#8250df", "#3c1e70", "#a371f7"),
}
_GROUND, _INK, _LINE_INK = "#ffffff", "#1f2328", "#57606a"
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"


def svg(picture: Picture) -> str:
    """Return the picture as an SVG document."""
    layout = laid_out(picture)
    id = picture.name  # noqa: A001 - the attribute's name
    size = f"{_number(layout.width)} {_number(layout.height)}"
    width, height = size.split()
    heads = _head(id, "head", "M0 0 8 4 0 8z", 7) + _head(id, "tail", "M8 0 0 4 8 8z", 1)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" '
            f'height="{height}" role="img" aria-labelledby="{id}-title {id}-desc" '
            f'font-family="{_FONT}" font-size="12">'
        ),
        f'<title id="{id}-title">{_text(picture.title)}</title>',
        f'<desc id="{id}-desc">{_text(picture.description)}</desc>',
        f"<style>{_style(id)}</style>",
        f"<defs>{heads}</defs>",
        f'<rect class="{id}-ground" width="100%" height="100%" fill="{_GROUND}"/>',
    ]
    lines += [_arrow(id, path) for path in layout.paths]
    lines += [_label(id, path) for path in layout.paths if path.label]
    lines += [_node(id, box) for box in layout.boxes]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _head(id: str, name: str, course: str, tip: int) -> str:  # noqa: A002 - the attribute's name
    return (
        f'<marker id="{id}-{name}" viewBox="0 0 8 8" refX="{tip}" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path class="{id}-head" d="{course}" '
        f'fill="{_LINE_INK}"/></marker>'
    )


def _style(id: str) -> str:  # noqa: A002 - the attribute's name
    dark = [
        f".{id}-ground{{fill:#0d1117}}",
        f".{id}-text{{fill:#e6edf3}}",
        f".{id}-label{{fill:#e6edf3;stroke:#0d1117}}",
        f".{id}-arrow{{stroke:#8b949e}}",
        f".{id}-head{{fill:#8b949e}}",
    ]
    dark += [
        f".{id}-{name}{{fill:{fill};stroke:{line}}}" for name, _, _, fill, line in _COLOURS.values()
    ]
    return f"@media (prefers-color-scheme: dark){{{''.join(dark)}}}"


def _node(id: str, box: Box) -> str:  # noqa: A002 - the attribute's name
    shape = box.shape
    name, fill, line, _, _ = _COLOURS[shape.state]
    dash = ' stroke-dasharray="4 3"' if shape.form is Form.UNDO else ""
    state = () if shape.state is None else (shape.state.value,)
    told = ", ".join((shape.title or "relay", *shape.notes, *state))
    return (
        f'<g id="{id}-{shape.id}" data-form="{shape.form}"><title>{_text(told)}</title>'
        f'<{_outline(box)} class="{id}-{name}" fill="{fill}" stroke="{line}" '
        f'stroke-width="1.5"{dash}/>{_lines(id, box)}</g>'
    )


def _outline(box: Box) -> str:
    x, y, right, low, middle = box.x, box.y, box.x + box.width, box.y + box.height, box.middle
    match box.shape.form:
        case Form.DOT:
            radius = box.width / 2
            at = f'cx="{_number(x + radius)}" cy="{_number(middle)}"'
            return f'circle {at} r="{_number(radius)}"'
        case Form.CHOICE | Form.FORK | Form.JOIN | Form.LOOP:
            edge = ((x + 10, y), (right - 10, y), (right, middle), (right - 10, low))
            return _polygon(*edge, (x + 10, low), (x, middle))
        case Form.EACH | Form.WAIT:
            return _polygon((x + 10, y), (right, y), (right - 10, low), (x, low))
        case Form.END | Form.SLEEP:
            return _rectangle(box, radius=box.height / 2)
        case Form.CHILD:
            bar = f"M{_number(x)} {_number(y)}H{_number(right)}V{_number(low)}H{_number(x)}Z"
            inner = "".join(
                f"M{_number(at)} {_number(y)}V{_number(low)}" for at in (x + 6, right - 6)
            )
            return f'path d="{bar}{inner}"'
        case _:
            return _rectangle(box, radius=5)


def _rectangle(box: Box, *, radius: float) -> str:
    return (
        f'rect x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="{_number(radius)}"'
    )


def _polygon(*points: tuple[float, float]) -> str:
    listed = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
    return f'polygon points="{listed}"'


def _lines(id: str, box: Box) -> str:  # noqa: A002 - the attribute's name
    x = _number(box.x + box.width / 2)
    first = box.middle - LINE * len(box.lines) / 2 + 12
    texts: list[str] = []
    for number, line in enumerate(box.lines):
        weight = ' font-weight="600"' if number == 0 else ""
        texts.append(
            f'<text class="{id}-text" x="{x}" y="{_number(first + LINE * number)}" '
            f'text-anchor="middle" fill="{_INK}"{weight}>{_text(line)}</text>'
        )
    return "".join(texts)


def _arrow(id: str, path: Path) -> str:  # noqa: A002 - the attribute's name
    dash = ' stroke-dasharray="4 3"' if path.arrow.is_dashed else ""
    # What undoes comes back to what it undoes: a head at either end.
    return_ = f' marker-start="url(#{id}-tail)"' if path.arrow.is_dashed else ""
    return (
        f'<path class="{id}-arrow" id="{id}-{path.arrow.source}-{path.arrow.target}" '
        f'd="{_course(path)}" fill="none" stroke="{_LINE_INK}" stroke-width="1.3"{dash}'
        f'{return_} marker-end="url(#{id}-head)"/>'
    )


def _course(path: Path) -> str:
    first, *others = path.points
    course = f"M{_number(first.x)} {_number(first.y)}"
    before = first
    for point in others:
        if point == before:
            continue
        if path.arrow.is_back or point.y == before.y or point.x == before.x:
            course += f"L{_number(point.x)} {_number(point.y)}"
        else:
            course += _curve(before, point)
        before = point
    return course


def _curve(start: Point, end: Point) -> str:
    half = _number((start.x + end.x) / 2)
    return f"C{half} {_number(start.y)} {half} {_number(end.y)} {_number(end.x)} {_number(end.y)}"


def _label(id: str, path: Path) -> str:  # noqa: A002 - the attribute's name
    anchor = "start" if path.arrow.is_back else "end"
    at = f'x="{_number(path.label_at.x)}" y="{_number(path.label_at.y)}"'
    return (
        f'<text class="{id}-label" {at} text-anchor="{anchor}" font-size="11" fill="{_INK}" '
        f'stroke="{_GROUND}" stroke-width="3" paint-order="stroke">{_text(path.label)}</text>'
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """A text as XML may hold it: what it forbids or nobody sees becomes a replacement sign."""
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return escape(plain, {'"': "&quot;", "'": "&#39;"})
