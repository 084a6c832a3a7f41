"""Tenancy: every message carries its tenant; the limits themselves are decided where it is fetched.

A throttled message is never fetched, so there is nothing to bounce here: `max_concurrent`,
`max_per_minute` and `weight` live in the store's fetch script.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq import Broker, Message
from dramatiq.middleware import Middleware

from engine.config import Settings, TenantLimits
from engine.store.queues import Limits
from engine.telemetry.logs import current_attempt
from engine.workflow.names import DEFAULT_TENANT, tenant_name


class Tenancy(Middleware):
    """Gives plain messages a tenant: their `tenant` option, else that of the sending attempt."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    @property
    def actor_options(self) -> set[str]:
        return {"tenant"}

    def after_process_boot(self, broker: Broker) -> None:
        """The settings' limits hold for all tenants, unless somebody has set others by now."""
        limits = self._settings().tenant
        store = getattr(broker, "store", None)
        if store is None or limits == TenantLimits() or "*" in store.queues.limits():
            return
        store.queues.limit("*", Limits(limits.max_concurrent, limits.max_per_minute, limits.weight))

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        tenant = message.options.get("tenant")
        if tenant is not None:
            message.options["tenant"] = tenant_name(tenant)
            return
        attempt = current_attempt.get()
        inherited = getattr(attempt, "tenant", None)
        if inherited and inherited != DEFAULT_TENANT:
            message.options["tenant"] = inherited
