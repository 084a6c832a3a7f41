"""Unit tests touch no network: a socket that connects or binds is a failure that says so."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest


class SocketUsed(AssertionError):
    """A unit test, or what it tests, opened a connection."""


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, *args: Any, **kwargs: Any) -> NoReturn:
        raise SocketUsed(f"a unit test used the network: {args}; move it to tests/integration")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
