"""Map: a flow for every item of a list, or of pages that a stage reads one after the other.

Owns: `each`, the page and the flow behind them. Must not: know how items are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

from engine.errors import DefinitionInvalid, OptionInvalid, TypesDoNotFit
from engine.workflow.bounds import whole_number
from engine.workflow.fitting import array_of, described, fits
from engine.workflow.flow import Flow, Want, as_flow, when_resolved
from engine.workflow.payload import Field, InputCodec
from engine.workflow.settled import settled

MAX_WINDOW = 256

T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True)
class Page(Generic[T, C]):
    """Some items of a collection too large for one list, and where to go on.

    Attributes:
        items: up to 1,000 of them.
        next: what the stage shall receive to read the page after; None when this was the last.
    """

    items: list[T] = field(default_factory=list)
    next: C | None = None


class Each(Flow):
    """A flow run once for every item; see `each`."""

    kind: ClassVar[str] = "each"

    def __init__(self, body: Flow, window: int, *, collect: bool, pages: Flow | None) -> None:
        self.body = body
        self.window = window
        self.collect = collect
        self.pages = pages

    @property
    def label(self) -> str:
        """`each(...)` around the body."""
        return f"each({self.body.label})"

    def wants(self) -> list[Want]:
        """Return what the pages begin with, or lists of what the body takes."""
        if self.pages is not None:
            return self.pages.wants()
        return [Want(f"each({taker})", array_of(type_)) for taker, type_ in self.body.wants()]

    def gives(self) -> Any:
        """Return the list of what the body gives."""
        result = self.body.gives()
        return array_of(settled(result) if self.collect else result)

    def inner(self) -> tuple[Flow, ...]:
        """Return the body, behind the stage that reads the pages if there is one."""
        return (self.body,) if self.pages is None else (self.pages, self.body)

    def entry(self) -> InputCodec:
        """Return a codec for one parameter, the list of items or the first page's mark."""
        if self.pages is not None:
            return self.pages.entry()
        return InputCodec(self.label, [Field("items", self.wants()[0].type)])

    def check(self) -> None:
        """Check the inside, and that pages carry what the body takes and lead to each other."""
        super().check()
        if self.pages is not None:
            _check_pages(self.pages, self.body)


def each(
    flow: object,
    window: int = 200,
    *,
    on_error: Literal["fail", "collect"] = "fail",
    pages: object | None = None,
) -> Flow:
    """Run a flow once for every item of a list, and give the list of results in the same order.

    Args:
        flow: a stage or a composition; it receives one item.
        window: how many items are under way at a time, 1 to 256.
        on_error: "fail" ends the run with the first item that dies; "collect" goes on, and the
            results are `Settled`: each says whether its item succeeded.
        pages: a stage that reads the items page by page where they are too many for one list: it
            receives what flows in, returns a `Page`, and is called again with the page's `next`.
            A page is read when fewer items than the window are left.

    Raises:
        OptionInvalid: the window is out of bounds, or `on_error` is none of the two.
        DefinitionInvalid: `pages` is no stage that returns a `Page`.
        TypesDoNotFit: the items of the pages are not what the flow takes.
    """
    if on_error not in ("fail", "collect"):
        raise OptionInvalid("on_error", on_error, "'fail' or 'collect'")
    reads = None if pages is None else as_flow(pages)
    if reads is not None and reads.kind != "stage":
        raise DefinitionInvalid("pages", "is not a stage", "Give a stage that returns a Page.")
    made = Each(
        as_flow(flow),
        whole_number("window", window, 1, MAX_WINDOW),
        collect=on_error == "collect",
        pages=reads,
    )
    if reads is not None:
        when_resolved(lambda: _check_pages(reads, made.body))
    return made


def _check_pages(pages: Flow, body: Flow) -> None:
    gives = pages.gives()
    if get_origin(gives) is not Page and gives is not Page:
        raise DefinitionInvalid(
            f"Stage {pages.label!r}",
            f"returns {described(gives)}, which is no Page",
            "Let a stage that reads pages return Page[item, mark].",
        )
    item, mark = get_args(gives) or (Any, Any)
    for taker, takes in body.wants():
        if not fits(item, takes):
            raise TypesDoNotFit(pages.label, described(item), taker, described(takes))
    for taker, takes in pages.wants():
        if not fits(mark, takes):
            raise TypesDoNotFit(pages.label, described(mark), taker, described(takes))
