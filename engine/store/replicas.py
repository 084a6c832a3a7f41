"""Replicas: whether what was written has reached as many of them as the settings ask for.

The room waits, for a bounded time, and reports. Whether that is an error, the sender decides.
"""

from __future__ import annotations

from redis.exceptions import RedisError

from engine.errors import StoreError
from engine.store.connection import Link, Links

_WITHIN_MS = 1_000


class Replicas:
    """The replicas of one shard.

    Args:
        links: Connections to the shard.
        wanted: How many of them have to have a start; 0 asks none.
    """

    def __init__(self, links: Links, wanted: int = 0) -> None:
        self._links = links
        self.wanted = wanted

    @property
    def within_ms(self) -> int:
        """The longest wait: a second, and well within the connection's timeout."""
        timeout_s = self._links.pool.connection_kwargs.get("socket_timeout")
        return _WITHIN_MS if timeout_s is None else min(_WITHIN_MS, int(timeout_s * 500))

    def confirmed(self) -> int:
        """How many replicas have everything written so far, waiting for `wanted`; 0 if unknown.

        Tried once: after a lost connection another server may answer, which knows nothing of it.
        """
        link = self._links.take()
        try:
            found = self._ask(link)
        except (StoreError, RedisError, OSError):
            link.close()
            return 0
        self._links.give(link)
        return found

    def _ask(self, link: Link) -> int:
        # WAIT is about the last write of its own connection. This one changes nothing and comes
        # after every start, whichever connection carried that.
        link.ask("INCRBY", self._links.keys.name("order"), 0)
        return int(link.ask("WAIT", self.wanted, self.within_ms))
