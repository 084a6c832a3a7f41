"""A TCP proxy in front of a server that loses replies, loses requests and delays, as told.

Owns: cutting the client's commands apart, so that a fault hits one script call and no other. A cut
after a call happens when the server has answered and before the client has read a byte of it. A
late call cuts the client off at once and reaches the server when `late_s` have passed.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from engine.store.scripts import load, names
from tests.servers import free_port

# Bytes are an error that is answered instead of the call's own reply; the call is not made.
Fault = Literal["lose_reply", "lose_request", "late"] | bytes
Rule = Callable[[str, int], Fault | None]


def nothing(_name: str, _number: int) -> Fault | None:
    """The rule of a proxy that does no harm."""
    return None


def every(script: str, period: int, fault: Fault = "lose_reply", *, first: int = 1) -> Rule:
    """A fault at every `period`-th call of a script (`*`: of any) or wait, from the `first` on."""

    def hit(name: str) -> bool:
        return name == script or (script == "*" and (name.islower() or name == "BLPOP"))

    def rule(name: str, number: int) -> Fault | None:
        return fault if hit(name) and number % period == first % period else None

    return rule


@dataclass
class Wire:
    """One client's connection through the proxy."""

    client: socket.socket
    server: socket.socket
    cutting: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def hang_up(self) -> None:
        """Cut the client off; what it has sent may still be on its way to the server."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Stands between clients and the server on `port`; use it as a context manager.

    Attributes:
        rule: Called with (script, or command in capitals; number of such calls so far, from 1).
        delay_s: Every command waits that long.
        deaf: While true nothing is forwarded, and connections stay open.
        late_s: How long a late call is on its way.
        cuts: Faults that happened, by script.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.port = free_port()
        self.rule: Rule = nothing
        self.delay_s = 0.0
        self.deaf = False
        self.late_s = 1.0
        self.calls: Counter[str] = Counter()
        self.cuts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._wires: list[Wire] = []
        self._scripts = {load(n, shifted_clock=s).sha: n for n in names() for s in (False, True)}
        self._door = socket.create_server(("127.0.0.1", self.port))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()
        self.cut_all()

    def cut_all(self) -> None:
        """Cut every connection now."""
        for wire in self._wires:
            wire.close()
        self._wires.clear()

    # -- inside

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._upstream))
                except OSError:
                    client.close()
                    continue
                wire = Wire(client, server)
                self._wires.append(wire)
                for way in (self._forward, self._answer):
                    threading.Thread(target=way, args=(wire,), daemon=True).start()

    def _forward(self, wire: Wire) -> None:
        with contextlib.suppress(OSError, EOFError):
            for name, command in commands(wire.client):
                while self.deaf:
                    time.sleep(0.02)
                if self.delay_s:
                    time.sleep(self.delay_s)
                if not self._pass(
                    wire, self._scripts.get(name, name.decode(errors="replace")), command
                ):
                    break
        wire.close()

    def _pass(self, wire: Wire, name: str, command: bytes) -> bool:
        with self._lock:
            self.calls[name] += 1
            fault = self.rule(name, self.calls[name])
            self.cuts[name] += fault is not None
        if fault == "lose_request":
            return False
        if fault == "late":
            wire.hang_up()
            time.sleep(self.late_s)
        if isinstance(fault, bytes):
            command, fault = _refusal(fault), None
        wire.cutting = fault is not None
        wire.answered.clear()
        wire.server.sendall(command)
        if fault is None:
            return True
        wire.answered.wait(5)
        return False

    def _answer(self, wire: Wire) -> None:
        with contextlib.suppress(OSError):
            while reply := wire.server.recv(65536):
                wire.answered.set()
                if not wire.cutting:
                    wire.client.sendall(reply)
        wire.close()


def _refusal(line: bytes) -> bytes:
    """A command that the server answers with this error, in its turn among the replies."""
    words = (b"EVAL", b"return redis.error_reply(ARGV[1])", b"0", line)
    parts = (b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n" % len(words) + b"".join(parts)


def commands(client: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """The client's commands one by one: (hash of an EVALSHA's script, else the word; all bytes)."""
    stream = client.makefile("rb")
    while head := stream.readline():
        parts, words = [head], []
        for _ in range(int(head[1:])):
            size = stream.readline()
            word = stream.read(int(size[1:]) + 2)
            parts += (size, word)
            words.append(word[:-2])
        name = words[1] if words[0].upper() == b"EVALSHA" else words[0].upper()
        yield name, b"".join(parts)
