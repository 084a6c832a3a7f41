"""The committer: endings on their way to the store, a group in one call.

A group keeps its number until it is answered, so that a lost reply changes nothing. While the store
cannot be written to, endings wait here; how many is bounded by the process's credit.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from dramatiq.logging import get_logger

from engine.broker.handed import Handed, refused
from engine.errors import ScriptRefused, StoreError
from engine.store.connection import Link, named_error
from engine.store.entries import Ending, pack
from engine.store.transit import ARGUMENT_BYTES, COMMITTED_AT_MOST, Call, Transit


class Committer:
    """Gathers endings and settles what the store says of them."""

    def __init__(self, transit: Transit) -> None:
        self._logger = get_logger(__name__, type(self))  # type: ignore[no-untyped-call]
        self._transit = transit
        self._gathered: deque[tuple[bytes, Handed]] = deque()
        self._group: list[tuple[bytes, Handed]] = []
        self._number = 0

    def add(self, ending: Ending, handed: Handed) -> None:
        """An ending joins the next group."""
        self._gathered.append((pack(ending), handed))

    @property
    def gathering(self) -> bool:
        """Whether endings wait for the next group."""
        return bool(self._gathered)

    @property
    def busy(self) -> bool:
        """Whether anything is not yet committed."""
        return bool(self._gathered or self._group)

    @property
    def leaving(self) -> int:
        """How many messages the group in hand frees."""
        return len(self._group)

    @property
    def leaving_ids(self) -> set[str]:
        """Which messages these are."""
        return {handed.delivery.id for _, handed in self._group}

    def call(self, consumer: str) -> Call | None:
        """The call that commits the group in hand, or the next one; None if there is nothing."""
        if self._gathered and not self._group:
            self._gather()
        if not self._group:
            return None
        packed = [entry for entry, _ in self._group]
        return self._transit.commit_call(consumer, self._number, packed)

    def settle(self, link: Link, consumer: str, reply: Any) -> list[Handed]:
        """Takes the reply to `call`; gives what is no longer held.

        Raises:
            StoreError: The store could not take the group now; it is still in hand.
        """
        try:
            if isinstance(reply, Exception):
                raise named_error(reply, "commit")
            verdicts = [verdict.decode() for verdict in reply]
        except ScriptRefused as error:
            verdicts = [self._alone(link, consumer, *entry, error) for entry in self._group]
        settled = [handed for _, handed in self._group]
        self._group = []
        for handed, verdict in zip(settled, verdicts, strict=True):
            if verdict != "committed":
                self._logger.info("Delivery %s was not committed: %s.", handed.delivery.id, verdict)
        return settled

    def _gather(self) -> None:
        size = 0
        while self._gathered and len(self._group) < COMMITTED_AT_MOST:
            size += len(self._gathered[0][0])
            if self._group and size > ARGUMENT_BYTES:
                break
            self._group.append(self._gathered.popleft())
        self._number += 1

    def _alone(
        self, link: Link, consumer: str, packed: bytes, handed: Handed, cause: ScriptRefused
    ) -> str:
        """An entry of a group that failed: once more by itself, then as a dead letter."""
        for entry in (packed, pack(refused(handed, str(cause)))):
            self._number += 1
            try:
                return self._transit.commit(link, consumer, self._number, [entry])[0]
            except ScriptRefused as error:
                cause = error
            except StoreError:
                self._number += 1  # the group that is sent again is another one than this entry
                raise
        self._logger.error("Delivery %s cannot be committed: %s", handed.delivery.id, cause)
        return f"refused:{cause.reason}"
