"""Where everything stands: layers from left to right, in each layer reading order from the top.

Owns: the places of shapes and the paths of arrows. Must not: know colours or write SVG.

A shape stands in the layer behind the last of its predecessors (longest path), the stage that
undoes it right below it. An arrow over several layers has a lane of its own in those between, so
it passes beside their shapes; one that leads back runs below everything. Numbers are pixels.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import NamedTuple

from engine.workflow.drawing.picture import Arrow, Form, Picture, Shape

LINE = 16
_LETTER = 7.3
_PADDING = 14
_DOT = 16
_ROW_GAP = 26
_LAYER_GAP = 44
_LANE = 18
_MARGIN = 20
_MAX_LETTERS = 44


class Point(NamedTuple):
    """A place on the picture."""

    x: float
    y: float


class Box(NamedTuple):
    """A shape with its upper left corner and size; `lines` are cut to what fits."""

    shape: Shape
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height at which arrows come and go."""
        return self.y + self.height / 2


class Path(NamedTuple):
    """An arrow by the points it passes, and where its label ends (or, for one back, begins)."""

    arrow: Arrow
    points: tuple[Point, ...]
    label: str
    label_at: Point


class Layout(NamedTuple):
    """Everything in its place, on a sheet of this size."""

    boxes: list[Box]
    paths: list[Path]
    width: float
    height: float


def laid_out(picture: Picture) -> Layout:
    """Return a place for every shape and arrow; no two shapes overlap."""
    return _Sheet(picture).layout()


def shortened(text: str) -> str:
    """Return the text as far as there is room for it."""
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 1]}…"


class _Slot(NamedTuple):
    """A row of a layer: a shape, or the lane of an arrow that passes through."""

    key: tuple[int, int, int]
    id: str
    width: float
    height: float


class _Sheet:
    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.numbers = {arrow: number for number, arrow in enumerate(picture.arrows)}
        self.lines = {shape.id: _lines(shape) for shape in picture.shapes}
        self.sizes = {shape.id: _size(shape, self.lines[shape.id]) for shape in picture.shapes}
        self.layer = self._layers()
        self.slots = self._slots()
        self.widths = [max(slot.width for slot in slots) for slots in self.slots]
        self.lefts = self._lefts()
        self.places = self._places()

    def layout(self) -> Layout:
        boxes = [self._box(shape) for shape in self.picture.shapes]
        lowest = max(box.y + box.height for box in boxes)
        back = [arrow for arrow in self.picture.arrows if arrow.is_back]
        lanes = {arrow: number for number, arrow in enumerate(back)}
        by_id = {box.shape.id: box for box in boxes}
        paths = [
            self._back_path(arrow, by_id, lanes[arrow], lowest)
            if arrow.is_back
            else self._path(arrow, by_id)
            for arrow in self.picture.arrows
        ]
        room = len(back) * _LANE + (LINE if back else 0)
        width = self.lefts[-1] + self.widths[-1] + _MARGIN
        return Layout(boxes, paths, width, lowest + room + _MARGIN)

    # -- layers

    def _layers(self) -> dict[str, int]:
        """The longest way to each shape; all predecessors come before it in reading order."""
        layer = {shape.id: 0 for shape in self.picture.shapes}
        for arrow in self.picture.arrows:  # in the reading order of their sources
            if not arrow.is_back:
                further = layer[arrow.source] + (0 if arrow.is_dashed else 1)
                layer[arrow.target] = max(layer[arrow.target], further)
        return layer

    def _slots(self) -> list[list[_Slot]]:
        slots: list[list[_Slot]] = [[] for _ in range(max(self.layer.values()) + 1)]
        for shape in self.picture.shapes:
            below = int(shape.form is Form.UNDO)
            slot = _Slot((shape.number, 0, below), shape.id, *self.sizes[shape.id])
            slots[self.layer[shape.id]].append(slot)
        for number, arrow in enumerate(self.picture.arrows):
            if not arrow.is_back:
                key = (int(arrow.source[1:]), 1, number)
                for at in range(self.layer[arrow.source] + 1, self.layer[arrow.target]):
                    slots[at].append(_Slot(key, f"a{number}", 0, 0))
        return [sorted(column) for column in slots]

    def _lefts(self) -> list[float]:
        """The left edge of every layer; the gap before it has room for the labels there."""
        gaps = [_LAYER_GAP] * len(self.slots)
        for arrow in self.picture.arrows:
            if arrow.label and not arrow.is_back:
                at = self.layer[arrow.source] + 1
                gaps[at] = max(gaps[at], int(_text_width(shortened(arrow.label))) + 36)
        lanes = sum(arrow.is_back for arrow in self.picture.arrows)
        lefts = [float(_MARGIN + (4 * lanes + 8 if lanes else 0))]
        for before, at in pairwise(range(len(self.slots))):
            lefts.append(lefts[-1] + self.widths[before] + gaps[at] + 4 * lanes)
        return lefts

    def _places(self) -> dict[tuple[int, str], Point]:
        """The upper left corner of every slot; each layer stands around the same middle."""
        heights = [
            sum(slot.height for slot in column) + _ROW_GAP * (len(column) - 1)
            for column in self.slots
        ]
        places: dict[tuple[int, str], Point] = {}
        for at, column in enumerate(self.slots):
            y = _MARGIN + (max(heights) - heights[at]) / 2
            for slot in column:
                x = self.lefts[at] + (self.widths[at] - slot.width) / 2
                places[at, slot.id] = Point(x, y)
                y += slot.height + _ROW_GAP
        return places

    def _box(self, shape: Shape) -> Box:
        corner = self.places[self.layer[shape.id], shape.id]
        return Box(shape, self.lines[shape.id], *corner, *self.sizes[shape.id])

    # -- paths

    def _path(self, arrow: Arrow, boxes: dict[str, Box]) -> Path:
        source, target = boxes[arrow.source], boxes[arrow.target]
        if arrow.is_dashed:
            x = source.x + source.width / 2
            top = Point(x, source.y + source.height)
            return Path(arrow, (top, Point(x, target.y)), "", top)
        at, to = self.layer[arrow.source], self.layer[arrow.target]
        points = (
            Point(source.x + source.width, source.middle),
            # Out of the layer before the first bend: a wider shape may stand above or below.
            Point(self.lefts[at] + self.widths[at], source.middle),
            *self._lane(arrow),
            Point(self.lefts[to], target.middle),
            Point(target.x, target.middle),
        )
        first = at + 1
        # Behind the first bend, where the arrows of one choice have parted.
        height = points[2].y - 4
        return Path(arrow, points, shortened(arrow.label), Point(self.lefts[first] - 8, height))

    def _lane(self, arrow: Arrow) -> list[Point]:
        number = self.numbers[arrow]
        lane: list[Point] = []
        for at in range(self.layer[arrow.source] + 1, self.layer[arrow.target]):
            y = self.places[at, f"a{number}"].y
            lane += [Point(self.lefts[at], y), Point(self.lefts[at] + self.widths[at], y)]
        return lane

    def _back_path(self, arrow: Arrow, boxes: dict[str, Box], lane: int, lowest: float) -> Path:
        source, target = boxes[arrow.source], boxes[arrow.target]
        at, to = self.layer[arrow.source], self.layer[arrow.target]
        right = self.lefts[at] + self.widths[at] + 6 + 4 * lane
        left = self.lefts[to] - 8 - 4 * lane
        y = lowest + LINE + lane * _LANE
        points = (
            Point(source.x + source.width, source.middle),
            Point(right, source.middle),
            Point(right, y),
            Point(left, y),
            Point(left, target.middle),
            Point(target.x, target.middle),
        )
        return Path(arrow, points, shortened(arrow.label), Point(left + 8, y - 4))


def _lines(shape: Shape) -> tuple[str, ...]:
    if shape.form is Form.DOT:
        return ()
    state = () if shape.state is None else (shape.state.value,)
    return tuple(shortened(line) for line in (shape.title, *shape.notes, *state))


def _size(shape: Shape, lines: tuple[str, ...]) -> tuple[float, float]:
    if not lines:
        return _DOT, _DOT
    slanted = shape.form in (Form.CHOICE, Form.FORK, Form.JOIN, Form.LOOP, Form.EACH, Form.WAIT)
    width = max(_text_width(line) for line in lines) + 2 * _PADDING + (16 if slanted else 0)
    return round(width, 1), LINE * len(lines) + 16


def _text_width(text: str) -> float:
    return sum(_LETTER * (2 if _is_wide(sign) else 1) for sign in text)


def _is_wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"
