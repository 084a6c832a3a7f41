"""Integration: what others know about an activity is looked up over HTTP.

Owns: the question that is asked. Must not: know the endpoint; GITHUB_ENRICH_URL names it, and
without it nothing is asked.

The question is `GET {GITHUB_ENRICH_URL}?event=...&repository=...&actor=...`; the answer is a JSON
object whose texts and numbers become facts of the notice.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

from actors.deliveries import Activity, Notice, cut
from engine import Retry, stage
from engine.integrations.errors import HttpRejected
from engine.integrations.http import Http, HttpClient

QUEUE = "integration-tasks"
MAX_FACTS = 20

http: Http = HttpClient(timeout="10s", max_reply_bytes=100_000)


@stage(
    queue=QUEUE,
    retry=Retry(attempts=7, base="10s", give_up_on=(HttpRejected,)),
    timeout="15s",
)
def enrich(notice: Notice) -> Notice:
    """Adds what the configured endpoint knows, or a note that nothing was asked."""
    endpoint = os.environ.get("GITHUB_ENRICH_URL", "").strip()
    if not endpoint:
        return notice.model_copy(update={"note": "not enriched: GITHUB_ENRICH_URL is not set"})
    reply = http.request("GET", endpoint, query=_question(notice.activity))
    return notice.model_copy(update={"facts": _facts(reply.json_object())})


def _question(activity: Activity) -> dict[str, str]:
    asked = {
        "event": activity.event,
        "repository": activity.repository,
        "actor": activity.actor,
    }
    return {name: value for name, value in asked.items() if value}


def _facts(answer: dict[str, Any]) -> dict[str, str]:
    plain = (
        (name, value) for name, value in answer.items() if isinstance(value, str | int | float)
    )
    return {cut(name): cut(str(value)) for name, value in islice(plain, MAX_FACTS)}
