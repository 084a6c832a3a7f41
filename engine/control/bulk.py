"""Acting on many runs, or many dead letters, at once: by filter, with a dry run, in batches.

Owns: the walk over what passes and the tally of what became of it. One that cannot be acted on
does not stop the others; its reason is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from engine.control.inspect import known_queue
from engine.control.search import RunFilter, matching
from engine.errors import CallboardError, OptionInvalid, StoreError
from engine.store.letters import Letter
from engine.store.store import Store
from engine.workflow.run import RunState

BATCH = 200
FIRST_FEW = 10
REASONS_KEPT = 100

Tell = Callable[["Tally"], None]
"""Is told after each batch."""


class Trouble(NamedTuple):
    """One run or letter that could not be acted on, and the code of the reason."""

    id: str
    reason: str


class Tally(NamedTuple):
    """What became of everything that passed the filter.

    Attributes:
        matched: how many passed.
        done: how many were acted on; in a dry run none.
        skipped: how many were past it when their turn came, such as runs that had ended by then.
        failed: how many could not be acted on.
        first: the first ten that passed.
        troubles: up to 100 of those that failed.
    """

    matched: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    first: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


class LetterFilter(NamedTuple):
    """Which dead letters of a queue; all that is given must hold. Times in ms since 1970."""

    queue: str
    tenant: str | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter passes."""
        return (
            self.tenant in {None, letter.tenant}
            and self.reason in {None, letter.reason}
            and (self.since_ms is None or letter.died_at_ms >= self.since_ms)
            and (self.until_ms is None or letter.died_at_ms < self.until_ms)
        )


def in_state(wanted: RunFilter, state: RunState) -> RunFilter:
    """Returns the filter for runs that an act can be done to.

    Raises:
        OptionInvalid: The filter asks for another state.
    """
    if wanted.state not in {None, state.value}:
        raise OptionInvalid("state", wanted.state, f"left out: only {state} runs are meant")
    return wanted._replace(state=state.value)


def over_runs(
    store: Store,
    wanted: RunFilter,
    act: Callable[[str], bool],
    *,
    at_most: int | None = None,
    dry_run: bool = False,
    tell: Tell = lambda _tally: None,
) -> Tally:
    """Acts on every run that passes a filter, newest first.

    Args:
        store: Where they are.
        wanted: Which.
        act: Is given the run's id; False if it came too late, which is no failure.
        at_most: How many at most; None is all.
        dry_run: Count and act on none.
        tell: Is called after each batch of 200.

    Raises:
        StoreError: The store did not answer; what was acted on until then stays so.
    """
    runs = (entry.run for entry in matching(store, wanted))
    return _over(runs, act, at_most, dry_run, tell)


def over_letters(
    store: Store,
    wanted: LetterFilter,
    act: Callable[[str], bool],
    *,
    at_most: int | None = None,
    dry_run: bool = False,
    tell: Tell = lambda _tally: None,
) -> Tally:
    """Acts on every dead letter of a queue that passes a filter; arguments as `over_runs`.

    Raises:
        UnknownQueue: There is no such queue.
        StoreError: The store did not answer; what was acted on until then stays so.
    """
    known_queue(store, wanted.queue)
    return _over(_letters(store, wanted), act, at_most, dry_run, tell)


def _letters(store: Store, wanted: LetterFilter) -> Iterator[str]:
    # The ids are taken first: what dies again meanwhile is not sent round and round.
    ids: list[str] = []
    while page := store.letters.newest(wanted.queue, at=len(ids), at_most=BATCH):
        ids += page
    for message in ids:
        letter = store.letters.read(message)
        if letter is not None and wanted.takes(letter):
            yield message


def _over(
    ids: Iterable[str],
    act: Callable[[str], bool],
    at_most: int | None,
    dry_run: bool,
    tell: Tell,
) -> Tally:
    tally = Tally()
    for one in ids:
        if at_most is not None and tally.matched >= at_most:
            break
        first = (*tally.first, one) if len(tally.first) < FIRST_FEW else tally.first
        tally = tally._replace(matched=tally.matched + 1, first=first)
        if not dry_run:
            tally = _acted(tally, one, act)
        if tally.matched % BATCH == 0:
            tell(tally)
    return tally


def _acted(tally: Tally, one: str, act: Callable[[str], bool]) -> Tally:
    try:
        done = act(one)
    except StoreError:
        raise
    except CallboardError as error:
        trouble = Trouble(one, getattr(error, "verdict", error.code))
        troubles = (*tally.troubles, trouble)[:REASONS_KEPT]
        return tally._replace(failed=tally.failed + 1, troubles=troubles)
    if done:
        return tally._replace(done=tally.done + 1)
    return tally._replace(skipped=tally.skipped + 1)
