"""What flows through the backbone: a webhook delivery, and what becomes of it.

Owns: the types between the stages. Must not: hold more of a payload than somebody behind uses.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

TEXT_CHARS = 300
"""Longest text that is taken over from a payload or an answer; the rest is cut."""


class Delivery(BaseModel):
    """A webhook delivery as it came in.

    Attributes:
        id: Of the delivery; the sender repeats it when it delivers again.
        event: The type of event, such as `pull_request`.
        payload: The body.
    """

    id: str = Field(pattern=r"^[!-~]{1,150}$")
    event: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    payload: dict[str, Any]


class Activity(BaseModel):
    """A delivery in one shape for all types of event; None where the payload does not say."""

    delivery: str
    event: str
    action: str | None = None
    repository: str | None = None
    actor: str | None = None
    subject: str | None = None
    url: str | None = None


class Notice(BaseModel):
    """What people are to be told.

    Attributes:
        activity: What happened.
        family: Who cares about it: `code`, `conversation`, `security` or `other`.
        headline: One line.
        urgent: Whether it should be seen at once.
        facts: What was looked up about it, by name.
        note: Why nothing was looked up, if so.
    """

    activity: Activity
    family: str
    headline: str
    urgent: bool = False
    facts: dict[str, str] = Field(default_factory=dict)
    note: str | None = None


class Closing(BaseModel):
    """The result of a run: the delivery, where its notice went, and what was counted."""

    delivery: str
    channel: str
    recipient: str
    counted: dict[str, int]


def cut(text: str) -> str:
    """The text on one line of printable characters, at most `TEXT_CHARS` long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"
