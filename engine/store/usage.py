"""What tenants used, by month and kind, counted once however often an attempt is delivered.

The room owns the counters. A run remembers in its own record what it has added, so the memory of it
lives exactly as long as an attempt of the run can come again.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import OptionInvalid
from engine.store.connection import Links
from engine.workflow.names import definition_name, tenant_name

KEPT_MS = 400 * 86_400_000
"""A month is kept for a year and a month after its last addition."""

MAX_AMOUNT = 10**12


class Usage:
    """The usage of the tenants of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def add(self, tenant: str, kind: str, amount: int = 1, *, once: str) -> bool:
        """Adds to this month's total of one kind; see `add_all`."""
        return self.add_all(tenant, {kind: amount}, once=once)[kind]

    def add_all(self, tenant: str, amounts: Mapping[str, int], *, once: str) -> dict[str, bool]:
        """Adds amounts by kind to this month's totals, each kind at most once a run.

        Args:
            tenant: Who used it.
            amounts: 0 to 10**12 by kind; a kind is named like a stage.
            once: Id of the run; a kind that it has added before is left as it is.

        Returns:
            By kind, whether it was added now.

        Raises:
            TenantInvalid, NameInvalid, OptionInvalid: Nothing was added.
            ScriptRefused: `RUN_GONE`: no such run is stored; nothing was added.
        """
        arguments: list[str | int] = [tenant_name(tenant), once, KEPT_MS]
        for kind, amount in amounts.items():
            if not 0 <= amount <= MAX_AMOUNT:
                raise OptionInvalid("amount", amount, f"a whole number from 0 to {MAX_AMOUNT}")
            arguments += (definition_name("usage", kind), amount)
        added = self.links.call("usage", arguments)
        return {kind: bool(one) for kind, one in zip(amounts, added, strict=True)}

    def read(self, tenant: str, month: str) -> dict[str, int]:
        """Totals by kind of one month, written `2025-01`; empty if nothing was used."""
        name = self.links.keys.name("usage", tenant=tenant, month=month)
        found = self.links.command("HGETALL", name)
        return {found[i].decode(): int(found[i + 1]) for i in range(0, len(found), 2)}
