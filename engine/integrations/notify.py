"""Notifications: what a provider must be able to do, and finding one by name.

Owns: the `Notifier` protocol and the registry of channels. Must not: know what is told to whom, or
any one provider beyond its place.

A new channel changes nothing here: it calls `register("sms", SmsNotifier)`, or its distribution has
an entry point `sms` in the group `callboard.channels`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from engine.integrations.errors import UnknownChannel

GROUP = "callboard.channels"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent.

    Attributes:
        subject: One line.
        body: Plain text.
        key: The same for every try of one notification: a provider that can, sends it once.
    """

    subject: str
    body: str
    key: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says of a message it took."""

    channel: str
    recipient: str
    id: str


class Notifier(Protocol):
    """A way to reach people."""

    def send(self, recipient: str, message: Message) -> Receipt:
        """Hands a message over.

        Raises:
            NotificationFailed: It may or may not have been sent; sending again is the remedy.
        """
        ...


Factory = Callable[[str], Notifier]
"""Makes a notifier from what stands behind the colon of its specification, "" for nothing."""

_OURS = {
    "console": "engine.integrations.console:ConsoleNotifier",
    "file": "engine.integrations.file:FileNotifier",
}
_registered: dict[str, Factory] = {}


def register(name: str, factory: Factory) -> None:
    """Makes a channel known under a name; a later one replaces an earlier one, ours included."""
    _registered[name] = factory


def channels() -> list[str]:
    """Names of all channels that can be used here."""
    return sorted({*_OURS, *_registered, *(point.name for point in entry_points(group=GROUP))})


def notifier(specification: str) -> Notifier:
    """Makes the notifier for `name` or `name:target`, such as `file:/var/log/notices.jsonl`.

    Raises:
        UnknownChannel: No channel has the name.
        ConfigurationError: The channel cannot use the target.
    """
    name, _, target = specification.partition(":")
    return _factory(name)(target)


def _factory(name: str) -> Factory:
    if name in _registered:
        return _registered[name]
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        return cast("Factory", getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        return cast("Factory", point.load())
    raise UnknownChannel(name, channels())
