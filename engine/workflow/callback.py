"""Callbacks: an address that ends one wait of one run, once, for whoever holds it.

Owns: what a callback's token says, and which wait a stage means. Must not: know whether a callback
is still in time (the store does).

A token is bound to a position, and a position is unique in a run, so it can never answer another
wait. Every try of an attempt that asks is given a token for the same wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from engine.errors import CallbackForged, ConfigurationError, NoWaitAhead
from engine.workflow import token as tokens
from engine.workflow.nodes import BackNode, EachNode, PagesNode, RepeatNode, WaitNode
from engine.workflow.plan import Plan

REJECTED = "callback_rejected"
"""Why a wait fails whose callback brings a failure, where nobody gives another reason."""

_PURPOSE = "callback"


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What a token says.

    Attributes:
        run_id: 32 hex digits.
        position: of the wait.
        settles: whether the wait takes failures as values.
        reason: why the run fails if the callback brings a failure.
        expires_at_ms: milliseconds since 1970 of the server's clock; 0 for never.
    """

    run_id: str
    position: str
    settles: bool = False
    reason: str = REJECTED
    expires_at_ms: int = 0

    @property
    def id(self) -> str:
        """The wait's own id, fit for a header: the same in every token for it."""
        return f"{self.run_id}-{self.position}"


@dataclass(frozen=True, slots=True)
class Callback:
    """The right to answer one wait. Whoever is told `token` or `url` has it.

    Attributes:
        id: names the wait, the same at every try; no secret.
        token: what the answer is sent with.
        base_url: where callbacks are received, None if no setting says it.
    """

    id: str
    token: str = field(repr=False)
    base_url: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address to POST the answer to; raises ConfigurationError without a base."""
        return address_of("callbacks", self.token, self.base_url)


_read = msgspec.json.Decoder(Claim).decode


def sealed(claim: Claim, secret: bytes, namespace: str) -> str:
    """Return the token of a claim."""
    return tokens.sealed(_PURPOSE, msgspec.json.encode(claim), secret, namespace)


def opened(token: str, secret: bytes, namespace: str) -> Claim:
    """Return what a token says; raises CallbackForged unless `sealed` made it, to the letter."""
    try:
        return _read(tokens.opened(_PURPOSE, token, secret, namespace))
    except msgspec.MsgspecError:  # sealed by another version
        raise CallbackForged from None


def address_of(path: str, token: str, base_url: str | None) -> str:
    """Return where a token is used; raises ConfigurationError without a base."""
    if base_url is None:
        raise ConfigurationError(
            "callback_base_url is not set, so a callback has no address. Set "
            "CALLBOARD_CALLBACK_BASE_URL to where `callboard callbacks` can be reached."
        )
    return f"{base_url.rstrip('/')}/{path}/{token}"


def wait_ahead(plan: Plan, position: str, name: str) -> tuple[str, WaitNode]:
    """Return position and node of the wait that a stage at `position` means by `name`.

    It is the next one of the name in reading order, else the only one, inside the same each and
    repeat: there both have the same item and round.

    Raises:
        NoWaitAhead: there is none.
    """
    number, dot, indices = position.removeprefix("~").partition(".")
    at, around = int(number), _around(plan)
    node = plan.nodes[at]
    near = {
        i: wait
        for i, wait in enumerate(plan.nodes)
        if isinstance(wait, WaitNode) and around[i] == around[at]
    }
    # What undoes comes when nothing waits any more, and who reads pages has none of the items.
    if position.startswith("~") or isinstance(node, PagesNode):
        near = {}
    found = [i for i, wait in near.items() if wait.name == name]
    ahead = [i for i in found if i > at] or (found if len(found) == 1 else [])
    if not ahead:
        stage = getattr(node, "stage", plan.name)
        raise NoWaitAhead(stage, name, [wait.name for wait in near.values()])
    return f"{ahead[0]}{dot}{indices}", near[ahead[0]]


def _around(plan: Plan) -> list[tuple[int, ...]]:
    """Return for each node the eaches and repeats that it stands in, the outermost first."""
    ends = {node.repeat: i + 1 for i, node in enumerate(plan.nodes) if isinstance(node, BackNode)}
    found: list[tuple[int, ...]] = []
    open_: list[tuple[int, int]] = []
    for i, node in enumerate(plan.nodes):
        while open_ and open_[-1][1] <= i:
            open_.pop()
        found.append(tuple(number for number, _ in open_))
        if isinstance(node, EachNode):
            open_.append((i, node.join))
        elif isinstance(node, RepeatNode):
            open_.append((i, ends[i]))
    return found
