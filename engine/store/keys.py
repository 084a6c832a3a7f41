"""Every Redis key that the engine touches: its name, type, life and owner, each spelled once.

The room owns spelling only. Lua scripts receive the same names: `lua_spelled()` writes every
`key.<name>(...)` of a script out, so Python and Lua cannot differ.
`docs/redis_keys.md` is checked against this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

SCHEMA_VERSION = 1

_FIELD = re.compile(r"\{(\w+)\}")
_SPOKEN = re.compile(r"\bkey\.(\w+)\(")
_SIMPLE = re.compile(r"[\w.]+(?:\[\w+\])?|'[^']*'")


@dataclass(frozen=True, slots=True)
class KeyShape:
    """One kind of key.

    Attributes:
        template: Name behind the shard tag; `{field}` marks a variable part.
        type: Redis type.
        life: When the key goes away.
        owner: The script or room that creates it.
        holds: What is in it.
    """

    template: str
    type: str
    life: str
    owner: str
    holds: str

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the variable parts, in order."""
        return tuple(_FIELD.findall(self.template))


SHAPES: dict[str, KeyShape] = {
    "schema": KeyShape("schema", "string", "for ever", "connect", "version of this layout"),
    "order": KeyShape("order", "string", "for ever", "enqueue", "last place given in any queue"),
    "token": KeyShape("token", "string", "for ever", "fetch", "last delivery (fencing) token"),
    "queues": KeyShape("queues", "set", "for ever", "enqueue", "names of the queues"),
    "queue": KeyShape(
        "queue:{queue}",
        "hash",
        "for ever",
        "enqueue",
        "waiting, delayed and leased counts, virtual time, paused, limit",
    ),
    "ring": KeyShape(
        "queue:{queue}:ring",
        "zset",
        "while a tenant is runnable",
        "enqueue",
        "runnable tenants by virtual time",
    ),
    "waiting": KeyShape(
        "queue:{queue}:waiting:{tenant}",
        "zset",
        "while messages wait",
        "enqueue",
        "message ids by priority and place",
    ),
    "suspects": KeyShape(
        "queue:{queue}:suspects",
        "zset",
        "while suspects wait",
        "beat",
        "message ids that a dying process held",
    ),
    "solo": KeyShape(
        "queue:{queue}:solo",
        "string",
        "10 s",
        "fetch",
        "consumer that empties itself for a suspect",
    ),
    "wake": KeyShape(
        "queue:{queue}:wake", "list", "until popped", "enqueue", "one element when work appears"
    ),
    "dead": KeyShape(
        "queue:{queue}:dead",
        "zset",
        "while letters are kept",
        "commit",
        "dead letters by time of death",
    ),
    "letter": KeyShape(
        "letter:{message}",
        "hash",
        "until purged or redriven",
        "commit",
        "a dead letter and its story",
    ),
    "errors": KeyShape(
        "errors:{message}",
        "list",
        "30 days",
        "commit",
        "the last 20 failures of a message, as JSON",
    ),
    "messages": KeyShape(
        "messages", "hash", "while a message lives", "enqueue", "message id to header line and body"
    ),
    "delayed": KeyShape(
        "delayed", "zset", "while messages are due", "enqueue", "message ids by due time"
    ),
    "throttled": KeyShape(
        "throttled",
        "zset",
        "until their time",
        "fetch",
        "'queue tenant' by the time a rate token falls due",
    ),
    "leased": KeyShape(
        "leased",
        "hash",
        "while leases are held",
        "fetch",
        "tenant to number of leases, while anyone has limits",
    ),
    "limits": KeyShape(
        "limits", "hash", "until cleared", "control", "tenant to its limits; '*' the default"
    ),
    "parked": KeyShape(
        "parked:{tenant}",
        "set",
        "until a slot frees",
        "fetch",
        "queues where the tenant waits for a slot; of '*': each 'queue tenant' so held back",
    ),
    "rate": KeyShape(
        "rate:{tenant}", "list", "60 s", "fetch", "times of the tenant's last fetches"
    ),
    "consumers": KeyShape(
        "consumers", "zset", "while they beat", "beat", "consumer to its last beat"
    ),
    "consumer": KeyShape(
        "consumer:{consumer}",
        "hash",
        "while it beats",
        "beat",
        "host, pid, queues, silence that is its death, last fetch and commit",
    ),
    "lease": KeyShape(
        "lease:{consumer}", "hash", "while leases are held", "fetch", "message id to delivery token"
    ),
    "reap": KeyShape(
        "reap", "hash", "for ever", "beat", "time of the last reap and of the last grace"
    ),
    "unknown": KeyShape(
        "unknown",
        "hash",
        "until known or dead",
        "commit",
        "message id to when its stage was first unknown",
    ),
    "plan": KeyShape("plan:{hash}", "string", "for ever", "plans", "a plan as JSON"),
    "runs": KeyShape("runs", "zset", "until pruned", "start", "run ids by start time"),
    "attribute": KeyShape(
        "attr:{attribute}",
        "zset",
        "until its runs are pruned",
        "start",
        "runs with one attribute `name=value`, by start time",
    ),
    "attributes": KeyShape(
        "attributes",
        "hash",
        "until its runs are pruned",
        "start",
        "run id to its attributes, for runs that have any",
    ),
    "run": KeyShape(
        "run:{run}",
        "hash",
        "retention from its end",
        "start",
        "a run: state, times, input, result, its stages (s:), their results (r:) and progress (p:)",
    ),
    "join": KeyShape(
        "run:{run}:join:{position}",
        "hash",
        "until its successor ends",
        "commit",
        "members and their results",
    ),
    "each": KeyShape(
        "run:{run}:each:{position}",
        "hash",
        "until its join is full",
        "commit",
        "items not yet done, cursor",
    ),
    "open": KeyShape(
        "run:{run}:open",
        "set",
        "while joins are open",
        "commit",
        "names of the run's join and each keys",
    ),
    "wait": KeyShape(
        "run:{run}:wait:{position}",
        "hash",
        "until it is answered",
        "commit",
        "what follows a signal or a child run that the run waits for",
    ),
    "waits": KeyShape(
        "run:{run}:waits:{name}",
        "list",
        "while waits are open",
        "commit",
        "positions that wait for a signal of this name, oldest first",
    ),
    "signals": KeyShape(
        "run:{run}:signals:{name}",
        "list",
        "until they are waited for",
        "signal",
        "values of signals that came before their wait",
    ),
    "calls": KeyShape(
        "run:{run}:calls",
        "hash",
        "retention of the run",
        "commit",
        "position of a wait to what callbacks know of it: begun, answered, or what came early",
    ),
    "children": KeyShape(
        "run:{run}:children", "set", "while they run", "commit", "ids of live child runs"
    ),
    "undo": KeyShape(
        "run:{run}:undo",
        "list",
        "until undone",
        "commit",
        "what would undo each completed stage, in order of completion",
    ),
    "paused": KeyShape(
        "run:{run}:paused",
        "set",
        "until the run is resumed",
        "fetch",
        "message ids set aside while the run is paused",
    ),
    "scopes": KeyShape(
        "run:{run}:scopes",
        "set",
        "until the run ends",
        "commit",
        "scopes of the run's plan that are closed, with the indices where",
    ),
    "held": KeyShape(
        "held",
        "hash",
        "while runs are held; in a failed run until it is pruned",
        "pause_run",
        "run to its marks: paused, and scopes of its plan that are closed",
    ),
    "waiters": KeyShape(
        "run:{run}:waiters", "set", "until the run ends", "runs", "who waits for the end of the run"
    ),
    "waiter": KeyShape(
        "waiter:{waiter}", "list", "60 s", "commit", "one element when a run has ended"
    ),
    "idempotency": KeyShape(
        "idem:{tenant}|{type}:{digest}",
        "string",
        "24 h by default",
        "start",
        "the run that holds the key",
    ),
    "cancelled": KeyShape(
        "cancelled", "zset", "until pruned after 30 days", "runs", "cancelled runs by time"
    ),
    "call": KeyShape(
        "call:{call}", "string", "10 minutes", "enqueue", "an enqueue call already carried out"
    ),
    "secret": KeyShape(
        "secret", "string", "for ever", "callbacks", "32 random bytes that sign callback tokens"
    ),
    "leader": KeyShape(
        "leader", "hash", "until it lapses", "maintenance", "holder, fencing token, expiry"
    ),
    "duty": KeyShape(
        "duty:{duty}",
        "hash",
        "30 days",
        "claim_duty",
        "last nominal time claimed, its token, and the run it began",
    ),
    "usage": KeyShape(
        "usage:{tenant}:{month}",
        "hash",
        "400 days after the last addition",
        "usage",
        "totals of use by kind",
    ),
    "events": KeyShape(
        "events", "stream", "trimmed to its length", "commit", "everything that happened"
    ),
}


@dataclass(frozen=True)
class Keys:
    """Builds full key names for one namespace and shard.

    Attributes:
        namespace: Prefix of the installation, such as `cb`.
        shard: Number of the shard; part of the hash tag so that all keys of a shard share a slot.
    """

    namespace: str = "cb"
    shard: int = 0

    @cached_property
    def prefix(self) -> str:
        """Namespace and shard tag, in front of every key."""
        return f"{{{self.namespace}:{self.shard}}}:"

    def name(self, shape: str, /, **fields: str) -> str:
        """The full name of one key; raises KeyError for an unknown shape or a missing field."""
        return self.prefix + SHAPES[shape].template.format(**fields)


def lua_spelled(script: str) -> str:
    """The script with each `key.<shape>(...)` written out over the prefix in KEYS[1].

    A definition costs a script time at every call of it, so none is made of these.
    """
    return "local P = KEYS[1]\n" + _spelled(script)


def _spelled(script: str) -> str:
    spelled: list[str] = []
    at = 0
    for spoken in _SPOKEN.finditer(script):
        if spoken.start() >= at:
            arguments, end = _arguments(script, spoken.end())
            spelled += (script[at : spoken.start()], _over_prefix(SHAPES[spoken[1]], arguments))
            at = end
    return "".join(spelled) + script[at:]


def _over_prefix(shape: KeyShape, arguments: list[str]) -> str:
    given = (_operand(argument) for argument in arguments)
    parts = _FIELD.split(shape.template)
    words = [next(given) if i % 2 else f"'{part}'" for i, part in enumerate(parts) if part]
    return f"({' .. '.join(['P', *words])})"


def _operand(argument: str) -> str:
    """An argument as a part of a concatenation: in brackets where an operator could be in it."""
    argument = _spelled(argument.strip())
    return argument if _SIMPLE.fullmatch(argument) else f"({argument})"


def _arguments(script: str, start: int) -> tuple[list[str], int]:
    """What stands between the bracket that opens before `start` and its end, cut at commas."""
    arguments, depth, begun = [], 0, start
    for at in range(start, len(script)):
        letter = script[at]
        if letter in "([{":
            depth += 1
        elif depth == 0 and letter in ",)":
            arguments.append(script[begun:at])
            begun = at + 1
            if letter == ")":
                return arguments, begun
        elif letter in ")]}":
            depth -= 1
    raise ValueError(f"the brackets of a key do not close: {script[start : start + 40]}")
