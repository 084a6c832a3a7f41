"""Names and ids: what may be called what, and how a run id is made.

Owns: the rules for names, tenants, keys, attributes, priorities and run ids. Must not: know who
uses them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from os import urandom

from engine.errors import AttributeInvalid, KeyInvalid, NameInvalid, RunNotFound, TenantInvalid
from engine.workflow.bounds import whole_number

DEFAULT_TENANT = "default"
DEFAULT_QUEUE = "default"
RELAY_STAGE = "~relay"
"""The built-in stage that hands its input on; `~` cannot begin a user's name."""
TIMER_STAGE = "~timer"
"""The built-in stage that ends a wait whose time is over."""
FAIL_STAGE = "~fail"
"""The built-in stage that dies for something that is no stage: a join, a child run, a loop."""
BUILT_IN_STAGES = (RELAY_STAGE, TIMER_STAGE, FAIL_STAGE)

MAX_PRIORITY = 9
MAX_ATTRIBUTES = 16
MAX_ATTRIBUTE_CHARS = 200
MAX_SHARD = 0xFFF

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,99}", re.ASCII)
_TENANT = re.compile(r"[A-Za-z0-9_.:@/+-]{1,100}", re.ASCII)
_RUN_ID = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", re.ASCII)


def definition_name(kind: str, name: object) -> str:
    """Return a stage, pipeline, queue or decider name that is fit for use; raises NameInvalid."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise NameInvalid(kind, name)
    return name


def tenant_name(tenant: object) -> str:
    """Return a tenant name fit for use; None is the tenant "default". Raises TenantInvalid."""
    if tenant is None:
        return DEFAULT_TENANT
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise TenantInvalid(tenant)
    return tenant


def key_name(key: object) -> str | None:
    """Return an idempotency key fit for use, or None for None; raises KeyInvalid.

    1 to 200 printable characters without white space.
    """
    if key is None:
        return None
    if (
        not isinstance(key, str)
        or not 1 <= len(key) <= 200
        or not key.isprintable()
        or " " in key  # the only printable white space
    ):
        raise KeyInvalid(key)
    return key


def attribute_pairs(attributes: Mapping[str, str | int | bool] | None) -> tuple[str, ...]:
    """Return a run's attributes as sorted words `name=value`; raises AttributeInvalid.

    At most 16. A name is made as a stage's is; a value is 1 to 200 printable characters, a whole
    number or a bool. Kept and searched as text: 17 is `17`, True is `true`.
    """
    if not attributes:
        return ()
    if not isinstance(attributes, Mapping):
        raise AttributeInvalid(attributes, "Give a dict of names to values.")
    if len(attributes) > MAX_ATTRIBUTES:
        raise AttributeInvalid(
            [*attributes][MAX_ATTRIBUTES], f"A run has at most {MAX_ATTRIBUTES} attributes."
        )
    return tuple(sorted(_attribute_pair(*pair) for pair in attributes.items()))


def _attribute_pair(name: object, value: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise AttributeInvalid(
            name, "A name begins with a letter or _, then letters, digits, _ . -; at most 100."
        )
    if isinstance(value, bool):
        return f"{name}={'true' if value else 'false'}"
    if isinstance(value, int | str):
        text = str(value)
        if 1 <= len(text) <= MAX_ATTRIBUTE_CHARS and text.isprintable():
            return f"{name}={text}"
    raise AttributeInvalid(
        name,
        f"Its value must be 1 to {MAX_ATTRIBUTE_CHARS} printable characters, a whole number "
        "or a bool.",
    )


def priority_level(priority: object) -> int | None:
    """Return a priority of 0 to 9 (higher is sooner), or None for the queue's own."""
    if priority is None:
        return None
    return whole_number("priority", priority, 0, MAX_PRIORITY, "; higher is sooner")


def new_run_id(shard: int = 0) -> str:
    """Return a fresh run id: a UUIDv7 as 32 hex digits whose `rand_a` carries the shard.

    Layout (RFC 9562): 48 bits of milliseconds, version 7, 12 bits of shard, variant, random bits.
    The time in it is informative only; nothing is decided by it.
    """
    # A constant variant digit leaves 60 random bits a millisecond and saves the bit arithmetic.
    return f"{time.time_ns() // 1_000_000:012x}7{shard:03x}8{urandom(8).hex()[1:]}"


def shard_of(run_id: str) -> int:
    """Return the shard number a run id carries; an id that is none raises RunNotFound."""
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFound(run_id)
    return int(run_id[13:16], 16)
