"""Idempotency of plain Dramatiq messages: declared by the actor, claimed with the enqueue.

Stages and pipelines have their own declaration; both are claimed in the script that makes the work
visible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq import Broker, Message
from dramatiq.middleware import Middleware, MiddlewareError

from engine.config import Settings
from engine.errors import OptionInvalid
from engine.workflow.idempotency import Idempotency
from engine.workflow.names import key_name
from engine.workflow.payload import encode_untyped


class IdempotencyKeys(Middleware):
    """Derives the key of a message whose actor declares it, or checks an explicit one.

    A message that repeats a key is not enqueued; the returned copy names the first one in its
    option `duplicate_of`.

    Args:
        settings: Gives the settings of the engine.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    @property
    def actor_options(self) -> set[str]:
        return {"idempotency", "idempotency_key"}

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        options = message.options
        if "retries" in options:
            return  # a retry of the same message is no duplicate of it
        if (key := options.get("idempotency_key")) is not None:
            options["idempotency_key"] = key_name(key)
            return
        actor = broker.actors.get(message.actor_name)
        policy = actor.options.get("idempotency") if actor else None
        if policy is None:
            return
        if not isinstance(policy, Idempotency):
            raise MiddlewareError(str(OptionInvalid("idempotency", policy, "an Idempotency(...)")))
        payload = encode_untyped([list(message.args), message.kwargs])
        options["idempotency_key"] = f"{message.actor_name}:{policy.content_key(payload)}"
        options["idempotency_ttl_ms"] = policy.window_or(self._settings().idempotency_window_ms)
