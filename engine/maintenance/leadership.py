"""Leadership: one scheduler of an installation leads, by a lease with a fencing token.

Owns: taking, renewing and giving up the lease. Must not: decide anything by this machine's clock;
whether the lease still holds is decided where the token is used.
"""

from __future__ import annotations

import os
import socket
from uuid import uuid4

from engine.store.store import Store


class Leadership:
    """One candidate's side of the lease.

    Attributes:
        candidate: Name of this scheduler, unique.
        token: The fencing token while this candidate leads, as far as it knows; else None.
    """

    def __init__(self, store: Store, lease_ms: int) -> None:
        self._store = store
        self._lease_ms = lease_ms
        self.candidate = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.token: int | None = None

    def renew(self) -> bool:
        """Takes or keeps the lease if it is to be had; True if this candidate leads now.

        Raises:
            StoreError: Nothing is known; the token stays, and is refused once another has led.
        """
        leads, token = self._store.lead(self.candidate, self._lease_ms)
        self.token = token if leads else None
        return leads

    def lapsed(self) -> None:
        """Takes note that the token was refused."""
        self.token = None

    def give_up(self) -> None:
        """Lets another lead at once; raises StoreError if the lease has to lapse instead."""
        if self.token is not None:
            self.token = None
            self._store.lead(self.candidate, 0)
