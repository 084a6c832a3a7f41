"""Duties of maintenance as the store knows them: which nominal time is taken, and the run it began.

A nominal time is a multiple of the duty's period on the server's clock. It is claimed with the
leader's fencing token, begun by a run whose idempotency key names it, and then noted as begun.
Whoever dies in between leaves it claimed and not begun, and the next leader gets it first; the key
keeps two leaders that both begin it from doubling it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.store.connection import Links

Verdict = Literal["due", "done", "busy", "deposed"]


class Firing(NamedTuple):
    """The answer to a claim.

    Attributes:
        verdict: `due`: begin it now; `done`: it has begun already; `busy`: an earlier one still
            runs; `deposed`: the claimant does not lead.
        nominal_at_ms: The time it is for, on the server's clock.
        next_in_ms: How long until the next nominal time; 0 if the one that is due now was not yet
            asked for.
    """

    verdict: Verdict
    nominal_at_ms: int
    next_in_ms: int


class Duties:
    """The duties of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def claim(self, candidate: str, token: int, duty: str, period_ms: int) -> Firing:
        """Takes the nominal time that is due; with one that is not known to have begun first."""
        verdict, nominal, left = self.links.call("claim_duty", [candidate, token, duty, period_ms])
        return Firing(verdict.decode(), nominal, left)

    def note_begun(self, duty: str, nominal_at_ms: int, run: str) -> None:
        """Notes the run of a nominal time.

        Noted late, over a newer one, it costs a repeated start, which the key makes harmless.
        """
        name = self.links.keys.name("duty", duty=duty)
        self.links.command("HSET", name, "begun", f"{nominal_at_ms} {run}")
