"""The HTTP endpoint that the demo's stages ask: local, and made up. For the demo only."""

from __future__ import annotations

import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class LookupEndpoint:
    """Answers every GET with a JSON object about what was asked. A context manager."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/facts"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: in two, the second waits 40 ms for the first to be acknowledged.
    wbufsize = 65_536
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Makes facts up that stay the same for the same question."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        number = zlib.crc32(json.dumps(asked, sort_keys=True).encode())
        body = json.dumps(
            {"watchers": number % 5_000, "team": _TEAMS[number % len(_TEAMS)]}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the library
        """Says nothing: a line a request would drown the demo."""


_TEAMS = ("platform", "payments", "search", "mobile")
