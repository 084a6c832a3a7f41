"""Delegation to n8n: a workflow there does one step of a pipeline here.

Owns: what is POSTed to a Webhook node, and how its refusals are judged. Must not: keep state (the
run's own wait and callback are all there is), follow redirects, or log headers and payloads.

    prepare | n8n("https://n8n.example.com/webhook/enrich", into=Lead, timeout="1h") | use

n8n answers the POST at once, works as long as it likes, and POSTs `{"ok": true, "value": ...}` or
`{"ok": false, "error": "why"}` to the `callbackUrl` it was sent. Between the two no worker is held.
A POST that is repeated, after a lost answer or a worker's death, carries the same `Idempotency-Key`
and a callback to the same wait, so that n8n may answer each of them and the first answer counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from engine import current
from engine.clock import Duration, duration_ms
from engine.config import Settings
from engine.errors import ConfigurationError, OptionInvalid
from engine.integrations.errors import HttpRejected, HttpReplyInvalid, HttpReplyTooLarge
from engine.integrations.http import Http, HttpClient, permitted, shown_address
from engine.workflow import registry
from engine.workflow.callback import Callback
from engine.workflow.context import Context
from engine.workflow.flow import Flow
from engine.workflow.registry import Origin
from engine.workflow.retry import Retry
from engine.workflow.stage import Stage
from engine.workflow.wait import wait_for

QUEUE = "integration-tasks"
PRIORITY = 7
WAIT = "n8n"
"""The wait's name; `run.signal("n8n", value)` stands in for an answer that never comes."""
FAILED = "n8n_failed"
"""Why a run fails whose workflow answered with an error; the failure's type is `N8nFailed`."""

RETRY = Retry(attempts=3, base="10s", give_up_on=(HttpRejected, ConfigurationError))

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Headers that authenticate, or what gives them when a POST is made."""


class _Configured(Protocol):
    @property
    def settings(self) -> Settings: ...


class Delegation:
    """The POST to one Webhook node.

    Args:
        webhook: Address of the node.
        workflow: What the workflow is called here.
        auth: Headers of the request that authenticate it.
        http: Makes the call.
    """

    def __init__(self, webhook: str, workflow: str, auth: Headers, http: Http) -> None:
        self.webhook, self.workflow = webhook, workflow
        self._auth, self._http = auth, http

    def post(self, data: Any, ctx: Context) -> dict[str, str]:
        """Hands the data over; says as which job. What n8n answers at once is not looked at.

        Raises:
            HttpUnavailable: Worth another try; n8n may have begun.
            HttpRejected: n8n will not take it: no such webhook, or the host is not allowed.
            ConfigurationError: `callback_base_url` is not set.
        """
        callback = ctx.callback(WAIT, reason=FAILED)
        permitted(self.webhook, self._settings().outbound_hosts)
        # An answer that cannot be used is an answer: the workflow has begun.
        with suppress(HttpReplyTooLarge, HttpReplyInvalid):
            self._http.request(
                "POST",
                self.webhook,
                body=self._body(data, ctx, callback),
                headers=self._headers(ctx, callback),
            )
        return {"jobId": job_id(callback), "status": "delegated"}

    def _body(self, data: Any, ctx: Context, callback: Callback) -> dict[str, Any]:
        job = job_id(callback)
        return {
            "workflowId": self.workflow,
            "jobId": job,
            "runId": ctx.run_id,
            "tenantId": ctx.tenant,
            "inputData": data,
            "callbackUrl": callback.url,
            "callbackJobId": f"{job}-callback",
        }

    def _headers(self, ctx: Context, callback: Callback) -> dict[str, str]:
        own = {
            "Idempotency-Key": job_id(callback),
            "X-Callboard-Run": ctx.run_id,
            "X-Callboard-Tenant": ctx.tenant,
            "X-Callboard-Attempt": str(ctx.attempt),
        }
        return {**own, **(self._auth() if callable(self._auth) else self._auth)}

    @staticmethod
    def _settings() -> Settings:
        return cast("_Configured", current.get()).settings


def n8n(  # noqa: PLR0913 - one parameter per option, all but two by keyword
    webhook: str,
    into: Any = Any,
    *,
    name: str | None = None,
    timeout: Duration | None = "1h",
    otherwise: object | None = None,
    queue: str = QUEUE,
    priority: int | None = PRIORITY,
    retry: Retry = RETRY,
    auth: Headers | None = None,
    http_timeout: Duration = "15s",
) -> Flow:
    """Delegate to a workflow in n8n, wait for its answer, and go on with what it brings.

    Args:
        webhook: The production address of the workflow's Webhook node (POST, respond immediately).
        into: The type of the answer. `Settled[T]` takes errors as values; with any other type an
            error fails the run, as dead letter `n8n_failed` that is not tried again.
        name: Of the stage that POSTs; it must stay when the address changes, as messages under way
            carry it. None takes the last part of the address: `n8n.enrich`.
        timeout: How long to wait for the answer once n8n has taken the work; None for ever.
        otherwise: The flow to take at the timeout, on what n8n said of the job; without it the
            run fails.
        queue: Of the stage that POSTs.
        priority: Of the same.
        retry: Of the same. Keep HttpRejected in `give_up_on`.
        auth: Headers such as `{"Authorization": ...}`, or a function that gives them when they are
            needed. They are never logged, stored, or sent anywhere else.
        http_timeout: How long one POST may take.

    Raises:
        OptionInvalid: The address is none, or its name cannot be read from it.
        NameInvalid, DuplicateName, InvalidDuration.
    """
    workflow = _workflow(webhook)
    http_ms = duration_ms(http_timeout, name="http_timeout")
    delegation = Delegation(webhook, workflow, auth or {}, HttpClient(timeout=http_ms))
    made: Stage[..., dict[str, str]] = Stage(
        _stage_function(delegation),
        name=name or f"n8n.{workflow}",
        queue=queue,
        retry=retry,
        priority=priority,
        timeout=http_ms + 5_000,
    )
    # One address is one stage, however often it is used; two of one name are a mistake.
    options = f"{webhook} {queue} {priority} {http_ms} {retry}"
    made.origin = Origin("n8n", options, "")
    registry.current().add_stage(made)
    current.announce(made)
    return made | wait_for(WAIT, into, timeout=timeout, otherwise=otherwise)


def job_id(callback: Callback) -> str:
    """The job's id in n8n: the same however often the POST is repeated."""
    return f"n8n-{callback.id}"


def _stage_function(delegation: Delegation) -> Callable[[Any, Context], dict[str, str]]:
    def delegate(data: Any, ctx: Context) -> dict[str, str]:
        return delegation.post(data, ctx)

    return delegate


def _workflow(webhook: str) -> str:
    try:
        parts = urlsplit(webhook)
        found = parts.scheme in ("http", "https") and bool(parts.hostname)
    except (ValueError, TypeError, AttributeError):
        found = False
    if not found:
        raise OptionInvalid(
            "webhook", shown_address(str(webhook)), "an http:// or https:// address"
        )
    last = parts.path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.-]", "-", last)[:80] or "webhook"
