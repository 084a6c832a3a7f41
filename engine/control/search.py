"""Searching runs: by pipeline, state, tenant, times, key and attributes, newest first.

Owns: the filter, the page and its cursor. A call looks at a bounded number of runs and says
honestly when it stopped before the end.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

from engine.errors import CursorInvalid, UnknownName
from engine.store.index import Indexed, RunFacts
from engine.store.runs import RunRecord
from engine.store.store import Store
from engine.workflow.names import attribute_pairs, key_name, tenant_name
from engine.workflow.run import RunState
from engine.workflow.start import Attributes

PAGE = 200
LOOKED_AT_MOST = 5_000
MAX_PAGE = 1_000


class UnknownState(UnknownName):
    """No run is ever in a state of this name."""

    code = "unknown_state"
    kind = "state"


class RunFilter(NamedTuple):
    """Which runs: all that is given must hold. Made by `run_filter`. Times in ms since 1970.

    Attributes:
        since_ms, until_ms: started at this moment or later, and before this one.
        ended_since_ms, ended_until_ms: the same of its end.
        attributes: words `name=value`.
    """

    pipeline: str | None = None
    state: str | None = None
    tenant: str | None = None
    key: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    ended_since_ms: int | None = None
    ended_until_ms: int | None = None
    attributes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Tells this filter from others; a cursor carries it.

        Times are left out: "an hour ago" is another moment at each page.
        """
        told = (self.pipeline, self.state, self.tenant, self.key, self.attributes)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:12]

    def takes(self, facts: RunFacts) -> bool:
        """Whether a run passes, as far as its record says."""
        wanted = (
            (self.pipeline, facts.pipeline),
            (self.state, facts.state),
            (self.tenant, facts.tenant),
            (self.key, facts.key),
        )
        if any(want is not None and want != has for want, has in wanted):
            return False
        ended = facts.ended_at_ms
        if self.ended_since_ms is not None and (ended is None or ended < self.ended_since_ms):
            return False
        return self.ended_until_ms is None or (ended is not None and ended < self.ended_until_ms)


class RunPage(NamedTuple):
    """Runs that were found.

    Attributes:
        runs: newest first.
        cursor: where to go on; None at the end.
        looked_at: how many runs were looked at for them.
        cut: fewer than asked for were found because the call stopped looking; go on at the cursor.
    """

    runs: list[RunRecord]
    cursor: str | None
    looked_at: int
    cut: bool


def run_filter(  # noqa: PLR0913 - one parameter per field
    *,
    pipeline: str | None = None,
    state: str | None = None,
    tenant: str | None = None,
    key: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    ended_since_ms: int | None = None,
    ended_until_ms: int | None = None,
    attributes: Attributes | None = None,
) -> RunFilter:
    """Returns a checked filter.

    Args:
        pipeline: The pipeline's name or, for a stage sent alone, the stage's.
        state: `running`, `completed`, `failed` or `cancelled`.
        tenant: For whom.
        key: The key that the caller gave.
        since_ms: Started at this moment or later.
        until_ms: Started before this moment.
        ended_since_ms: Ended at this moment or later.
        ended_until_ms: Ended before this moment.
        attributes: What the run was started with; all of them must be there.

    Raises:
        UnknownState, TenantInvalid, KeyInvalid, AttributeInvalid: One of them can never be.
    """
    if state is not None and state not in set(RunState):
        raise UnknownState(state, [known.value for known in RunState])
    return RunFilter(
        pipeline,
        state,
        None if tenant is None else tenant_name(tenant),
        key_name(key),
        since_ms,
        until_ms,
        ended_since_ms,
        ended_until_ms,
        attribute_pairs(attributes),
    )


def search(
    store: Store,
    wanted: RunFilter,
    *,
    cursor: str | None = None,
    at_most: int = 50,
    looked_at_most: int = LOOKED_AT_MOST,
) -> RunPage:
    """Returns a page of the runs that pass a filter, newest first.

    With attributes the index of the rarest one is walked, else that of all runs, in slices of 200.

    Args:
        store: Where they are.
        wanted: Which.
        cursor: Of the page before, from a search with the same filter.
        at_most: How many to return, up to 1,000.
        looked_at_most: How many to look at.

    Raises:
        CursorInvalid: The cursor was not given by a search with this filter.
    """
    after = None if cursor is None else _place_of(cursor, wanted)
    found: list[str] = []
    looked_at = 0
    last = after
    at_most = min(at_most, MAX_PAGE)
    walk = _walk(store, wanted, after)
    for entry, passes in walk:
        last = entry
        looked_at += 1
        if passes:
            found.append(entry.run)
        if len(found) >= at_most or looked_at >= looked_at_most:
            break
    more = next(walk, None) is not None
    records = [one for one in store.runs.read_many(found) if one is not None]
    return RunPage(
        records,
        _cursor_of(last, wanted) if more and last else None,
        looked_at,
        more and len(found) < at_most,
    )


def matching(store: Store, wanted: RunFilter) -> Iterator[Indexed]:
    """Yields every run that passes a filter, newest first, slice by slice; looks to the end.

    Runs that start meanwhile are left out.
    """
    return (entry for entry, passes in _walk(store, wanted, None) if passes)


def _walk(store: Store, wanted: RunFilter, after: Indexed | None) -> Iterator[tuple[Indexed, bool]]:
    """Every run of the index from a place on, in order, and whether it passes."""
    index = store.index
    attribute = index.smallest(wanted.attributes)
    others = [one for one in wanted.attributes if one != attribute]
    rank = index.rank_of(attribute, until_ms=wanted.until_ms, after=after)
    while page := index.page(attribute, rank, PAGE):
        looked_at = len(page)
        # Runs come and go while we walk: what was seen is passed over.
        page = [one for one in page if after is None or _behind(one, after)]
        oldest = wanted.since_ms
        young = [one for one in page if oldest is None or one.started_at_ms >= oldest]
        ids = [one.run for one in young]
        having = index.having(others, ids)
        for entry, facts, has in zip(young, index.facts(ids), having, strict=True):
            yield entry, facts is not None and has and wanted.takes(facts)
        if len(young) < len(page):
            return
        if page:
            after = page[-1]
            rank = index.rank_of(attribute, until_ms=None, after=after)
        else:
            rank += looked_at


def _behind(one: Indexed, after: Indexed) -> bool:
    return (one.started_at_ms, one.run) < (after.started_at_ms, after.run)


def _cursor_of(place: Indexed, wanted: RunFilter) -> str:
    raw = json.dumps([place.started_at_ms, place.run, wanted.digest], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def _place_of(cursor: str, wanted: RunFilter) -> Indexed:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        started_at_ms, run, digest = json.loads(raw)
        place = Indexed(str(run), int(started_at_ms))
    except (ValueError, TypeError):
        raise CursorInvalid(cursor) from None
    if digest != wanted.digest:
        raise CursorInvalid(cursor)
    return place
