"""A drawn SVG as tests read it: its boxes, arrows and texts."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree import ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


class Box(NamedTuple):
    """What a shape covers."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


class Drawn:
    """An SVG document, parsed."""

    def __init__(self, text: str) -> None:
        self.root = ET.fromstring(text)
        self.shapes = list(self.root.iter(f"{SVG}g"))
        self.nodes = [shape for shape in self.shapes if re.search(r"-n\d+$", shape.attrib["id"])]
        self.undos = [shape for shape in self.shapes if re.search(r"-u\d+$", shape.attrib["id"])]
        self.arrows = [path for path in self.root.iter(f"{SVG}path") if "marker-end" in path.attrib]
        self.texts = [text.text or "" for text in self.root.iter(f"{SVG}text")]
        _, _, self.width, self.height = map(float, self.root.attrib["viewBox"].split())

    def boxes(self) -> list[Box]:
        return [_box(shape[1]) for shape in self.shapes]

    def named(self, number: int) -> str:
        """What a screen reader says of a node."""
        return self.nodes[number][0].text or ""


def _box(outline: ET.Element) -> Box:
    at = outline.attrib
    match outline.tag.removeprefix(SVG):
        case "rect":
            x, y = float(at["x"]), float(at["y"])
            return Box(x, y, x + float(at["width"]), y + float(at["height"]))
        case "circle":
            x, y, radius = float(at["cx"]), float(at["cy"]), float(at["r"])
            return Box(x - radius, y - radius, x + radius, y + radius)
        case "polygon":
            return _around([tuple(map(float, one.split(","))) for one in at["points"].split()])
        case "path":
            x, y, right, bottom = map(float, re.findall(r"[MHV]?([\d.]+)", at["d"])[:4])
            return Box(x, y, right, bottom)
        case other:
            raise AssertionError(other)


def _around(points: list[tuple[float, ...]]) -> Box:
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return Box(min(xs), min(ys), max(xs), max(ys))
