"""A plan, or a run on its plan, as a picture.

Owns: `draw` and the list of formats. Must not: know flows or the store; the plan and the view of
the run are enough. `picture` says what is drawn, `progress` how far a run is, `mermaid` and `svg`
how it looks, `layout` where it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import UnknownFormat
from engine.workflow.drawing.mermaid import mermaid
from engine.workflow.drawing.picture import Picture, pictured
from engine.workflow.drawing.svg import svg
from engine.workflow.plan import Plan

if TYPE_CHECKING:
    from engine.workflow.run import RunView

_WRITERS: dict[str, Callable[[Picture], str]] = {"mermaid": mermaid, "svg": svg}
FORMATS = tuple(_WRITERS)


def draw(plan: Plan, format: str = "mermaid", view: RunView | None = None) -> str:  # noqa: A002
    """Return a plan as a picture; the same plan and view always give the same text.

    Args:
        plan: what to draw.
        format: "mermaid" for a flowchart that other tools lay out, "svg" for a finished picture.
        view: a run on this plan; its states and timings are drawn in.

    Raises:
        UnknownFormat: the format is neither of the two.
    """
    writer = _WRITERS.get(format)
    if writer is None:
        raise UnknownFormat(format, FORMATS)
    return writer(pictured(plan, view))
