"""Ingress: a delivery is validated and put into one shape.

Owns: reading payloads. Must not: call anybody, or refuse a payload for what it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from actors.deliveries import Activity, Delivery, cut
from actors.tenants import text_at
from engine import stage

QUEUE = "ingress-events"

# Where the subject of an event stands, if not under the event's own name.
_SUBJECTS = {
    "branch_protection_rule": "rule",
    "code_scanning_alert": "alert",
    "deploy_key": "key",
    "discussion_comment": "discussion",
    "fork": "forkee",
    "issue_comment": "issue",
    "issues": "issue",
    "membership": "member",
    "meta": "hook",
    "org_block": "blocked_user",
    "ping": "hook",
    "pull_request_review": "pull_request",
    "pull_request_review_comment": "pull_request",
    "pull_request_review_thread": "pull_request",
    "push": "head_commit",
    "repository_vulnerability_alert": "alert",
    "team_add": "team",
}
_TITLES = (
    *("title", "full_name", "name", "summary", "tag_name", "message", "login", "head_branch"),
    *("environment", "affected_package_name", "state"),
)
_HTTPS = re.compile(r"https://[!-~]{1,500}")
_PLACES_ABOVE = ("ref", "context", "zen", "status")


@stage(queue=QUEUE, timeout="10s")
def normalise(delivery: Delivery) -> Activity:
    """Puts a delivery of any type into one shape; what its payload does not say is left out."""
    payload = delivery.payload
    subject = payload.get(_SUBJECTS.get(delivery.event, delivery.event))
    return Activity(
        delivery=delivery.id,
        event=delivery.event,
        action=_cut(text_at(payload, "action")),
        repository=_cut(text_at(payload, "repository", "full_name")),
        actor=_cut(text_at(payload, "sender", "login")),
        subject=_cut(_subject_of(payload, subject)),
        url=_url_of(payload, subject),
    )


def _subject_of(payload: Mapping[str, Any], subject: Any) -> str | None:
    told = subject if isinstance(subject, Mapping) else {}
    titles = (text_at(told, name) for name in _TITLES)
    title = next((title for title in titles if title), None)
    if title is None:
        return next((found for name in _PLACES_ABOVE if (found := text_at(payload, name))), None)
    number = text_at(told, "number")
    return f"#{number} {title}" if number else title


def _url_of(payload: Mapping[str, Any], subject: Any) -> str | None:
    told = subject if isinstance(subject, Mapping) else {}
    url = text_at(told, "html_url") or text_at(payload, "repository", "html_url")
    return url if url and _HTTPS.fullmatch(url) else None


def _cut(text: str | None) -> str | None:
    return None if text is None else cut(text)
