"""A server that behaves as n8n does: Webhook nodes that start workflows, and Wait nodes.

Owns: the HTTP that n8n speaks (production webhooks that respond immediately, `webhook-waiting`
addresses, its words for what it refuses) and a record of it. What a workflow does is a function of
the test's, which runs after the answer, in a thread of its own, as an execution does.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import urlsplit


@dataclass
class Execution:
    """One execution of a workflow.

    Attributes:
        id: as n8n numbers them.
        path: of the Webhook node that started it.
        headers, body: of the request.
        resumed: what its Wait node was resumed with.
        answers: status and body of each callback that it made.
    """

    id: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    resumed: Any = None
    _resume: threading.Event = field(default_factory=threading.Event)

    def call_back(self, answer: Any, url: str | None = None) -> tuple[int, dict[str, Any]]:
        """What an HTTP Request node does with `{{ $json.body.callbackUrl }}`."""
        told = post(url or self.body["callbackUrl"], answer)
        self.answers.append(told)
        return told

    def wait(self) -> Any:
        """A Wait node that is resumed by a webhook call; gives its body."""
        assert self._resume.wait(20), f"nobody resumed execution {self.id}"
        return self.resumed

    def resume(self, body: Any) -> None:
        self.resumed = body
        self._resume.set()


Workflow = Callable[[Execution], object]


class Workflows:
    """The server. A context manager.

    Attributes:
        executions: all that were started, in order.
        refuse: statuses, with headers, to answer the next requests with instead of starting.
        before: called before a Webhook node answers.
    """

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.requests = 0
        self.refuse: list[tuple[int, dict[str, str]]] = []
        self.before: Workflow = lambda execution: None
        self.credentials: dict[str, str] = {}
        self._active: dict[str, Workflow] = {}
        self._ids = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Node)
        self._server.daemon_threads = True
        self._server.workflows = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def activate(self, path: str, workflow: Workflow) -> str:
        """Make a workflow active; give the production address of its Webhook node."""
        self._active[path] = workflow
        return f"{self.url}/webhook/{path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def started(
        self, path: str, headers: Mapping[str, str], body: Any
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """What a Webhook node answers."""
        self.requests += 1
        if self.refuse:
            status, said = self.refuse.pop(0)
            return status, said, {"code": status, "message": "Service unavailable"}
        workflow = self._active.get(path)
        if workflow is None:
            text = f'The requested webhook "POST {path}" is not registered.'
            return 404, {}, {"code": 404, "message": text}
        lowered = {name.lower(): value for name, value in headers.items()}
        for name, value in self.credentials.items():
            if lowered.get(name.lower()) != value:
                return 403, {}, {"code": 403, "message": "Authorization data is wrong!"}
        execution = Execution(str(next(self._ids)), path, lowered, body)
        self.executions.append(execution)
        self.before(execution)
        threading.Thread(target=workflow, args=(execution,), daemon=True).start()
        return 200, {}, {"message": "Workflow was started"}

    def resumed(self, id: str, body: Any) -> tuple[int, dict[str, str], dict[str, Any]]:  # noqa: A002
        """What a Wait node answers."""
        found = [execution for execution in self.executions if execution.id == id]
        if not found:
            return 404, {}, {"code": 404, "message": f'The execution "{id}" does not exist.'}
        found[0].resume(body)
        return 200, {}, {"message": "Workflow was started"}


class _Node(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        workflows = cast("Workflows", self.server.workflows)  # type: ignore[attr-defined]
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind, _, rest = self.path.removeprefix("/").partition("/")
        body = json.loads(raw)
        if kind == "webhook":
            status, headers, answer = workflows.started(rest, dict(self.headers), body)
        else:
            assert kind == "webhook-waiting"
            status, headers, answer = workflows.resumed(rest, body)
        sent = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(sent))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


def post(
    url: str, body: Any, *, method: str = "POST", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Send JSON, or bytes as they are; give status and answer."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    try:
        connection.request(method, parts.path, raw, sent)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()
