"""Receiving: what came in over HTTP becomes the answer to a callback, or a new run.

Owns: the form of bodies and the status of every outcome. Must not: listen (a server does), or write
tokens and bodies into a log. Any web framework can stand in front:

    status, answer = receive(token, body, headers)   # POST /callbacks/{token}
    status, answer = start(token, body, headers)     # POST /pipelines/{token}
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import msgspec

from engine import current
from engine.config import Settings
from engine.errors import (
    CallbackBodyInvalid,
    CallbackForged,
    CallbackLate,
    CallbackRepeated,
    CallboardError,
    IdempotentRunFailed,
    InputError,
    PayloadTooLarge,
    QueueFull,
    StoreError,
    UnknownPipeline,
)
from engine.execution.callbacks import Callbacks
from engine.workflow.names import key_name
from engine.workflow.registry import Registry
from engine.workflow.run import Run

Received = tuple[int, dict[str, Any]]
"""HTTP status, and what is answered as JSON."""

_STATUS: tuple[tuple[type[CallboardError], int], ...] = (
    (CallbackForged, 403),
    (CallbackLate, 410),
    (CallbackRepeated, 409),
    (IdempotentRunFailed, 409),
    (UnknownPipeline, 404),
    (PayloadTooLarge, 413),
    (InputError, 400),
    (QueueFull, 429),
    (StoreError, 503),
)
_NO_REASON = "no reason given"
_log = logging.getLogger(__name__)


class _Engine(Protocol):
    @property
    def callbacks(self) -> Callbacks: ...

    @property
    def definitions(self) -> Registry: ...

    @property
    def settings(self) -> Settings: ...

    def start(self, definition: Any, payload: bytes, **options: Any) -> Run: ...


class _Told(msgspec.Struct):
    message: str


class _Answer(msgspec.Struct):
    ok: bool
    value: msgspec.Raw = msgspec.Raw(b"null")
    error: str | _Told | None = None


_read = msgspec.json.Decoder(_Answer).decode


def receive(token: str, body: bytes, headers: Mapping[str, str], *, engine: Any = None) -> Received:
    """Takes in the answer to a callback.

    Args:
        token: The last part of the callback's address.
        body: `{"ok": true, "value": ...}`, or `{"ok": false, "error": "why"}`, where the error may
            be an object with a `message`.
        headers: Of the request; a Content-Type must be JSON.
        engine: Whose callback it is; None takes the current engine.

    Returns:
        200 taken in; 400 a body that is none; 403 a token that is none; 409 repeated: an earlier
        answer counts; 410 too late; 413 too large; 415 no JSON; 503 the store does not answer: send
        it again.
    """
    callbacks = _engine(engine).callbacks
    return _answered(lambda: _deliver(callbacks, token, body), headers)


def start(token: str, body: bytes, headers: Mapping[str, str], *, engine: Any = None) -> Received:
    """Starts a run of the pipeline that an invitation names; n8n's way in.

    Args:
        token: The last part of the invitation's address.
        body: The pipeline's input, as JSON.
        headers: `Idempotency-Key` makes a repeated request give the first run.
        engine: Whose pipeline it is; None takes the current engine.

    Returns:
        202 with the run's id; 400, 403, 404, 409, 413, 415, 429 (queue full) or 503.
    """
    return _answered(lambda: _begin(_engine(engine), token, body, headers), headers)


def _deliver(callbacks: Callbacks, token: str, body: bytes) -> Received:
    claim = callbacks.check(token)  # who has no right learns nothing of the body's form
    answer = _answer_in(body)
    if answer.ok:
        callbacks.resume_json(token, bytes(answer.value))
    else:
        told = answer.error.message if isinstance(answer.error, _Told) else answer.error
        callbacks.reject(token, told or _NO_REASON)
    _log.info("A callback for run %s was taken in.", claim.run_id)
    return 200, {"status": "accepted", "runId": claim.run_id}


def _answer_in(body: bytes) -> _Answer:
    try:
        body.decode()  # what is handed on raw must be text all the same
        return _read(body)
    except msgspec.ValidationError as error:
        raise CallbackBodyInvalid(f"does not fit ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CallbackBodyInvalid("is no JSON") from None


def _begin(engine: _Engine, token: str, body: bytes, headers: Mapping[str, str]) -> Received:
    invitation = engine.callbacks.invited(token)
    pipeline = engine.definitions.pipeline(invitation.pipeline)
    limit = engine.settings.max_payload_bytes
    if len(body) > limit:
        raise PayloadTooLarge(pipeline.name, len(body), limit)
    pipeline.inputs.decode(body)  # refused here, not in a worker
    run = engine.start(
        pipeline,
        body,
        tenant=invitation.tenant,
        key=key_name(_header(headers, "idempotency-key")),
        delay_ms=0,
        priority=None,
    )
    return 202, {"status": "duplicate" if run.duplicate else "started", "runId": run.id}


def _answered(act: Callable[[], Received], headers: Mapping[str, str]) -> Received:
    kind = _header(headers, "content-type") or "application/json"
    if kind.partition(";")[0].strip().lower() != "application/json":
        return 415, {"status": "refused", "code": "not_json", "message": "Send application/json."}
    try:
        return act()
    except CallboardError as error:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
        if status is None:
            raise
        _log.info("A request was refused: %s.", error.code)
        return status, {"status": "refused", "code": error.code, "message": str(error)}


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _engine(given: Any) -> _Engine:
    return cast("_Engine", current.get() if given is None else given)
