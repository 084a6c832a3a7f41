"""Callbacks of one engine: a stage asks for one, and whoever was given it answers.

The room joins the pure token with the store's verdict. It never logs a token or what one brings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.clock import Duration, duration_ms
from engine.config import Settings
from engine.errors import CallbackLate, CallbackRepeated, OptionInvalid, PayloadTooLarge
from engine.execution.plans import Plans
from engine.store.store import Store
from engine.workflow import invitation as invitations
from engine.workflow import settled
from engine.workflow.attempt import Attempt
from engine.workflow.callback import (
    REJECTED,
    Callback,
    Claim,
    address_of,
    opened,
    sealed,
    wait_ahead,
)
from engine.workflow.failure import MAX_MESSAGE_CHARS, Failure
from engine.workflow.invitation import Invitation
from engine.workflow.names import definition_name, tenant_name
from engine.workflow.payload import encode_untyped

_MAX_TTL_MS = 3_660 * 86_400_000


class Callbacks:
    """Makes callbacks and takes their answers.

    Args:
        store: Where runs wait; asked for when something is first needed.
        settings: The secret and the address, if they are set.
        plans: Plans by hash.
    """

    def __init__(
        self, store: Callable[[], Store], settings: Callable[[], Settings], plans: Plans
    ) -> None:
        self._store, self._settings, self._plans = store, settings, plans

    def make(
        self, attempt: Attempt, name: str, ttl: Duration | None, reason: str = REJECTED
    ) -> Callback:
        """The callback of the wait `name` that comes behind an attempt; see `Context.callback`."""
        position, node = wait_ahead(self._plans.get(attempt.plan_hash), attempt.position, name)
        until_ms = 0 if ttl is None else self._store().queues.now_ms() + _ttl_ms(ttl)
        claim = Claim(attempt.run_id, position, node.settles, reason, until_ms)
        token = sealed(claim, self._secret(), self._settings().namespace)
        return Callback(claim.id, token, self._settings().callback_base_url)

    def invite(self, pipeline: str, tenant: str | None = None) -> str:
        """The address that starts runs of a pipeline for a tenant; whoever has it may.

        Raises:
            NameInvalid, TenantInvalid: It cannot be given out.
            ConfigurationError: `callback_base_url` is not set.
        """
        invitation = Invitation(definition_name("pipeline", pipeline), tenant_name(tenant))
        token = invitations.sealed(invitation, self._secret(), self._settings().namespace)
        return address_of("pipelines", token, self._settings().callback_base_url)

    def invited(self, token: str) -> Invitation:
        """What an invitation says; raises CallbackForged."""
        return invitations.opened(token, self._secret(), self._settings().namespace)

    def check(self, token: str) -> Claim:
        """What a token says; raises CallbackForged."""
        return opened(token, self._secret(), self._settings().namespace)

    def resume(self, token: str, value: Any = None) -> None:
        """Ends the wait with a value: what flows on from it.

        Raises:
            CallbackForged, CallbackLate, CallbackRepeated: Refused; nothing has been changed.
            PayloadTooLarge, PayloadInvalid: The value cannot be sent.
            StoreError: It may have been taken in; answering again is safe.
        """
        self.resume_json(token, encode_untyped(value))

    def resume_json(self, token: str, value: bytes) -> None:
        """The same with a value that is JSON already."""
        claim = self.check(token)
        self._limit(value)
        self._answer(claim, settled.succeeded(value) if claim.settles else value, failed=False)

    def reject(self, token: str, error: str) -> None:
        """Ends the wait with a failure: the run fails there, or the wait hands it on as `Settled`.

        Args:
            token: As given out.
            error: Why, for people; cut to 2,000 characters.

        Raises: as `resume`.
        """
        claim = self.check(token)
        # A lone surrogate cannot be stored as UTF-8.
        message = error[:MAX_MESSAGE_CHARS].encode("utf-8", "replace").decode()
        if claim.settles:
            brought = settled.failed(Failure.named(claim.reason, message))
            return self._answer(claim, brought, failed=False)
        story = msgspec.json.encode({"reason": claim.reason, "message": message})
        return self._answer(claim, story, failed=True)

    def _answer(self, claim: Claim, brought: bytes, *, failed: bool) -> None:
        verdict = self._store().callbacks.answer(
            claim.run_id, claim.position, brought, failed=failed, until_ms=claim.expires_at_ms
        )
        if verdict == "repeated":
            raise CallbackRepeated(claim.run_id)
        if verdict not in ("delivered", "kept"):
            raise CallbackLate(claim.run_id, verdict)

    def _limit(self, value: bytes) -> None:
        limit = self._settings().max_payload_bytes
        if len(value) > limit:
            raise PayloadTooLarge("a callback", len(value), limit)

    def _secret(self) -> bytes:
        own = self._settings().callback_secret
        return own.get_secret_value().encode() if own else self._store().callbacks.secret()


def _ttl_ms(ttl: Duration) -> int:
    found_ms = duration_ms(ttl, name="ttl")
    if not 0 < found_ms <= _MAX_TTL_MS:
        raise OptionInvalid("ttl", ttl, "more than 0 and at most ten years")
    return found_ms
