"""The options that say which runs: the same for `runs` and `bulk`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from engine.clock import duration_ms
from engine.control.search import RunFilter, run_filter
from engine.errors import InvalidDuration, OptionInvalid
from engine.store.store import Store

OfPipeline = Annotated[
    str | None, typer.Option("--pipeline", help="Only this pipeline's, or this stage's.")
]
InState = Annotated[
    str | None,
    typer.Option("--state", help="Only running, completed, failed or cancelled ones."),
]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")]
OfKey = Annotated[str | None, typer.Option("--key", help="Only those started with this key.")]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Started no longer ago than 2h, or at 2026-01-31T12:00 or later."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", help="Started longer ago than 2h, or before 2026-01-31T12:00."),
]
EndedSince = Annotated[
    str | None, typer.Option("--ended-since", help="Ended no longer ago, or at or after a time.")
]
EndedUntil = Annotated[
    str | None, typer.Option("--ended-until", help="Ended longer ago, or before a time.")
]
WithAttributes = Annotated[
    list[str] | None,
    typer.Option("--attr", metavar="NAME=VALUE", help="Only those with it; repeatable."),
]


def chosen_runs(  # noqa: PLR0913, PLR0917 - one parameter an option
    store: Store,
    pipeline: str | None,
    state: str | None,
    tenant: str | None,
    key: str | None,
    since: str | None,
    until: str | None,
    ended_since: str | None,
    ended_until: str | None,
    attributes: Sequence[str] | None,
) -> RunFilter:
    """Returns the filter that the options ask for; a length of time counts back from now.

    Raises:
        OptionInvalid: A time or an attribute cannot be read; or what `run_filter` raises.
    """
    now_ms = store.queues.now_ms()
    return run_filter(
        pipeline=pipeline,
        state=state,
        tenant=tenant,
        key=key,
        since_ms=moment_ms("--since", since, now_ms),
        until_ms=moment_ms("--until", until, now_ms),
        ended_since_ms=moment_ms("--ended-since", ended_since, now_ms),
        ended_until_ms=moment_ms("--ended-until", ended_until, now_ms),
        attributes=dict(_pair(word) for word in attributes or ()),
    )


def attributes_of(words: Sequence[str] | None) -> dict[str, str] | None:
    """Returns the attributes that repeated `--attr NAME=VALUE` give; raises OptionInvalid."""
    return dict(_pair(word) for word in words) if words else None


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise OptionInvalid("--attr", word, "NAME=VALUE")
    return name, value


def moment_ms(option: str, given: str | None, now_ms: int) -> int | None:
    """Returns the moment that an option names, in ms since 1970; a length counts back from now.

    Raises:
        OptionInvalid: It is neither a length of time nor a time.
    """
    if given is None:
        return None
    try:
        return now_ms - duration_ms(given, name=option)
    except InvalidDuration:
        pass
    try:
        return int(datetime.fromisoformat(given).timestamp() * 1000)
    except ValueError:
        expected = "how long ago, such as 2h, or a time such as 2026-01-31T12:00"
        raise OptionInvalid(option, given, expected) from None
