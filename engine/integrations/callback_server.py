"""A small HTTP server for callbacks, for one machine, demos and tests.

Owns: listening, and the bounds of a request: its size, its time, and how many there are at once.
Must not: decide anything (`callbacks` does), speak TLS, or log an address; a token stands in it. In
production it stands behind a proxy, or your web framework calls `receive` itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from types import TracebackType
from typing import Any, Self, cast

from engine.integrations import callbacks
from engine.integrations.callbacks import Received

_READ_S = 10.0
_WHOLE_S = 30.0
_AT_ONCE = 64
# The JSON around a value: {"ok": true, "value": ...}, with room for spaces.
_AROUND_BYTES = 1_000


class CallbackServer(ThreadingHTTPServer):
    """Answers `POST /callbacks/{token}`, `POST /pipelines/{token}` and `GET /health`.

    A context manager that serves from a thread of its own; `serve_forever` serves from this one.

    Args:
        host: Where to listen.
        port: 0 takes a free one; `url` tells which.
        engine: Whose callbacks; None takes the current engine.
        max_body_bytes: Largest body that is read.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, engine: Any = None, max_body_bytes: int
    ) -> None:
        self.engine = engine
        self.max_body_bytes = max_body_bytes + _AROUND_BYTES
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__((host, port), _Request)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Takes a connection, or closes it where there are too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one connection; whatever comes over it, it ends in time."""
        end = threading.Timer(_WHOLE_S, _hang_up, [request])
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a connection that broke; the library would print its address."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()


class _Request(BaseHTTPRequestHandler):
    timeout = _READ_S
    server_version = "callboard"
    sys_version = ""

    def do_GET(self) -> None:
        """`/health`; nothing else, so that no reader of links can answer a callback."""
        if self.path == "/health":
            self._reply(200, {"healthy": True})
        else:
            self._refuse(405, "post_only", "Send a POST.")

    def do_POST(self) -> None:
        """Hands the body to `callbacks`."""
        server = cast("CallbackServer", self.server)
        act = _ways.get(self.path.rpartition("/")[0])
        length = self.headers.get("Content-Length", "")
        if act is None:
            self._refuse(404, "no_such_address", "POST to /callbacks/{token}.")
        elif not (length.isascii() and length.isdigit()):
            self._refuse(411, "length_required", "Send Content-Length.")
        elif len(length) > 12 or int(length) > server.max_body_bytes:
            self._refuse(413, "payload_too_large", f"At most {server.max_body_bytes:,} bytes.")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):  # else the other side went away
                token = self.path.rpartition("/")[2]
                self._reply(*_acted(act, token, body, dict(self.headers), server.engine))

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._reply(status, {"status": "refused", "code": code, "message": message})

    def _reply(self, status: int, answer: Mapping[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Says nothing: the address holds the token."""


Act = Callable[..., Received]

_ways: dict[str, Act] = {"/callbacks": callbacks.receive, "/pipelines": callbacks.start}


def _acted(act: Act, token: str, body: bytes, headers: Mapping[str, str], engine: Any) -> Received:
    try:
        return act(token, body, headers, engine=engine)
    except Exception as error:  # noqa: BLE001 - an answer is owed; its text may hold what was sent
        return 500, {"status": "failed", "code": "failed", "message": type(error).__name__}


def _hang_up(request: Any) -> None:
    try:
        request.shutdown(SHUT_RDWR)
    except OSError:
        return
