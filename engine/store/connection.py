"""Connections to one Redis or Valkey: links that run scripts, made anew after a fork or a loss.

The room owns sockets, their retries and their named errors. Every script it sends may be sent again
after a lost reply: the scripts themselves remember what they did.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis import exceptions as redis_errors

from engine.errors import (
    SchemaMismatch,
    ScriptRefused,
    StoreBusy,
    StoreFull,
    StoreMisconfigured,
    StoreTooOld,
    StoreUnreachable,
)
from engine.store.keys import SCHEMA_VERSION, Keys
from engine.store.scripts import EVENTS_KEPT, Script, load

Argument = bytes | str | int | float
_HOLDING = (
    "LOADING",
    "READONLY",
    "BUSY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
)
_FULL = ("OOM", "command not allowed when used memory")
_BUSY = (
    redis_errors.ReadOnlyError,
    redis_errors.BusyLoadingError,
    redis_errors.ClusterDownError,
    redis_errors.MasterDownError,
    redis_errors.TryAgainError,
)
_OLDEST_VERSION = (7, 0)


class Links:
    """A stack of idle connections to one server, shared by the threads of one process.

    Args:
        pool: redis-py pool that makes the connections.
        keys: Key names; `keys.prefix` is KEYS[1] of every script.
        patience_ms: How long one call goes on trying through lost connections.
        shifted_clock: Test build of the scripts.
        owned: Whether closing the links closes the pool.
        events_kept: Entries that the event stream keeps, about.
    """

    def __init__(
        self,
        pool: redis.ConnectionPool,
        keys: Keys,
        *,
        patience_ms: int = 5_000,
        shifted_clock: bool = False,
        owned: bool = True,
        events_kept: int = EVENTS_KEPT,
    ) -> None:
        self.pool = pool
        self.keys = keys
        self.patience_ms = patience_ms
        self.shifted_clock = shifted_clock
        self.events_kept = events_kept
        self._owned = owned
        self._idle: list[Link] = []
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._checked = False

    def script(self, name: str) -> Script:
        """The script by its name, as this store runs it."""
        return load(name, shifted_clock=self.shifted_clock, events_kept=self.events_kept)

    def take(self) -> Link:
        """An idle link, or a new one; give it back with `give`."""
        if self._pid != os.getpid():
            self._forget_parent()
        try:
            return self._idle.pop()
        except IndexError:
            return Link(self)

    def give(self, link: Link) -> None:
        """Takes an idle link back; one of a parent process is dropped."""
        if link.pid == self._pid:
            self._idle.append(link)

    def call(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Runs one script on any link and returns its reply; see `Link.call` for errors."""
        link = self.take()
        try:
            return link.call(name, arguments)
        finally:
            self.give(link)

    def command(self, *words: Argument) -> Any:
        """Runs one plain command on any link."""
        link = self.take()
        try:
            return link.command(*words)
        finally:
            self.give(link)

    def commands(self, batch: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Runs plain commands in one write; an error is raised after all replies are read."""
        link = self.take()
        try:
            return link.commands(batch)
        finally:
            self.give(link)

    def check_once(self, link: Link) -> None:
        """At the first connection of the process: version, eviction and layout."""
        if self._checked:
            return
        with self._lock:
            if not self._checked:
                _check_server(link, self.keys)
                self._checked = True

    def close(self) -> None:
        """Closes all idle connections."""
        while self._idle:
            self._idle.pop().close()
        if self._owned:
            self.pool.disconnect()

    def _forget_parent(self) -> None:
        # The sockets belong to the parent: dropped without a word to the server.
        with self._lock:
            if self._pid != os.getpid():
                self._idle = []
                self._checked = False
                self._pid = os.getpid()


class Link:
    """One connection. Not for two threads at a time.

    Every call goes on through lost connections until its patience ends, then raises
    `StoreUnreachable`; whether the last try took effect is then unknown, and sending the same call
    again is safe.
    """

    def __init__(self, links: Links) -> None:
        self.links = links
        self.pid = os.getpid()
        self._connection: Any = None
        self._prefix = links.keys.prefix.encode()
        self._head: dict[str, tuple[bytes, bytes, bytes, bytes]] = {}

    def call(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Runs a script.

        Raises:
            StoreUnreachable: No connection within the patience; nothing is known of the last try.
            StoreFull: The server is at `maxmemory`; nothing was done.
            StoreBusy: LOADING, READONLY, BUSY and the like; nothing was done.
            ScriptRefused: The script refused by a code of its own header; nothing was done.
        """
        return self.calls([(name, arguments)])[0]

    def calls(self, batch: Sequence[tuple[str, Sequence[Argument]]]) -> list[Any]:
        """Runs scripts in one write and reads all replies; the first error is raised."""
        replies = self.exchange(batch)
        for (name, _), reply in zip(batch, replies, strict=True):
            if script_missing(reply):
                self._load([name for name, _ in batch])
                return self.calls(batch)
            if isinstance(reply, Exception):
                raise named_error(reply, name) from None
        return replies

    def exchange(
        self,
        batch: Sequence[tuple[str, Sequence[Argument]]],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Any]:
        """Like `calls`, but errors stand among the replies.

        Args:
            batch: Scripts and their arguments.
            meanwhile: Work to do once while the server answers.
        """
        calls = [(*self._call_head(name), *arguments) for name, arguments in batch]
        return self._exchange(calls, meanwhile)

    def command(self, *words: Argument) -> Any:
        """Runs one plain command."""
        return self.commands([words])[0]

    def commands(self, batch: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Runs plain commands in one write; the first error is raised."""
        replies = self._exchange(batch)
        for words, reply in zip(batch, replies, strict=True):
            if isinstance(reply, Exception):
                raise named_error(reply, str(words[0])) from None
        return replies

    def pop(self, keys: Sequence[str], timeout_ms: int) -> bool:
        """Blocks until one of the lists has an element, and takes it; False after any trouble."""
        try:
            self.begin_pop(keys, timeout_ms)
            self._readable(timeout_ms / 1000 + 2)
            return self.end_pop()
        except StoreUnreachable:
            self.close()
            return False
        except BaseException:  # an interrupt: the reply is still to come
            self.close()
            raise

    def begin_pop(self, keys: Sequence[str], timeout_ms: int) -> None:
        """Sends a blocking pop; `fileno` is readable when `end_pop` has an answer.

        Raises:
            StoreUnreachable: There is no connection.
        """
        try:
            self._connected().send_command("BLPOP", *keys, f"{timeout_ms / 1000:.3f}")
        except (redis_errors.RedisError, OSError) as error:
            raise StoreUnreachable(self.address, str(error)) from None

    def end_pop(self) -> bool:
        """Reads the answer of a pop: whether it took an element.

        Raises:
            StoreUnreachable: The connection is lost.
        """
        try:
            return self._connection.read_response(disable_decoding=True) is not None
        except (redis_errors.RedisError, OSError) as error:
            raise StoreUnreachable(self.address, str(error)) from None

    def fileno(self) -> int:
        """The socket's descriptor, to wait on."""
        return int(self._connection._sock.fileno())

    def _readable(self, timeout_s: float) -> None:
        try:
            if not self._connection.can_read(timeout=timeout_s):
                raise StoreUnreachable(self.address, "no reply to BLPOP")
        except (redis_errors.RedisError, OSError) as error:
            raise StoreUnreachable(self.address, str(error)) from None

    def close(self) -> None:
        """Drops the connection; the next call makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            if self.pid == os.getpid():
                self.links.pool.release(connection)

    def _call_head(self, name: str) -> tuple[bytes, bytes, bytes, bytes]:
        head = self._head.get(name)
        if head is None:
            head = self._head[name] = (b"EVALSHA", self.links.script(name).sha, b"1", self._prefix)
        return head

    def _load(self, names: list[str]) -> None:
        self.commands(
            [("SCRIPT LOAD", self.links.script(name).source) for name in dict.fromkeys(names)]
        )

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self.links.pool.get_connection()
            try:
                self.links.check_once(self)
            except BaseException:
                self.close()
                raise
        return self._connection

    def ask(self, *words: Argument) -> Any:
        """One command, tried once: for the check of a new connection."""
        reply = self._exchange_once([words])[0]
        if isinstance(reply, Exception):
            raise named_error(reply, str(words[0])) from None
        return reply

    def _exchange(
        self,
        batch: Sequence[tuple[Argument, ...]],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Any]:
        deadline = time.monotonic() + self.links.patience_ms / 1000
        pause, loads = 0.01, True
        while True:
            try:
                return self._exchange_once(batch, meanwhile)
            except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
                self.close()
                # The client takes LOADING for a lost connection. A try that met nothing else has
                # changed nothing; of any other lost one that is not known.
                loads = loads and isinstance(error, redis_errors.BusyLoadingError)
                if (
                    isinstance(error, redis_errors.AuthenticationError)
                    or time.monotonic() + pause > deadline
                ):
                    if loads:
                        raise named_error(error, "") from None
                    raise StoreUnreachable(self.address, str(error)) from None
                meanwhile = None
                time.sleep(pause)
                pause = min(pause * 2, 0.5)
            except BaseException:
                # An interrupt between request and reply: the next reply would answer this one.
                self.close()
                raise

    def _exchange_once(
        self,
        batch: Sequence[tuple[Argument, ...]],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Any]:
        connection = self._connected()
        if len(batch) == 1:
            packed = connection.pack_command(*batch[0])
        else:
            packed = connection.pack_commands(batch)
        connection.send_packed_command(packed, check_health=False)
        if meanwhile is not None:
            meanwhile()
        replies: list[Any] = []
        for _ in batch:
            try:
                replies.append(connection.read_response(disable_decoding=True))
            except redis_errors.ResponseError as error:
                replies.append(error)
        return replies

    @property
    def address(self) -> str:
        """Where the server is said to be, without credentials."""
        options = self.links.pool.connection_kwargs
        if path := options.get("path"):
            return f"unix:{path}"
        return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def script_missing(reply: Any) -> bool:
    """Whether the server answered that it does not have the script, as after a restart."""
    return isinstance(reply, redis_errors.NoScriptError)


def named_error(error: Exception, what: str) -> Exception:
    """The engine's error for one of the client's, from the script or command `what`."""
    text = str(error)
    code = getattr(error, "status_code", None)  # which the client has cut off where it knows it
    if code and not text.startswith(code):
        text = f"{code} {text}"
    if isinstance(error, redis_errors.OutOfMemoryError) or text.startswith(_FULL):
        return StoreFull()
    if isinstance(error, _BUSY) or text.startswith(_HOLDING):
        return StoreBusy(text)
    reason, _, detail = text.partition(" ")
    return ScriptRefused(what, reason, detail)


def _check_server(link: Link, keys: Keys) -> None:
    info: dict[str, str] = {}
    for line in link.ask("INFO", "server").decode().splitlines():
        name, _, value = line.partition(":")
        info[name] = value
    version = info.get("valkey_version") or info.get("redis_version", "0.0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_VERSION:
        raise StoreTooOld(version)
    try:
        policy = link.ask("CONFIG", "GET", "maxmemory-policy")
    except ScriptRefused:
        policy = None  # managed servers forbid CONFIG; `callboard doctor` says so
    if policy:
        found = policy[b"maxmemory-policy"] if isinstance(policy, dict) else policy[1]
        if found != b"noeviction":
            raise StoreMisconfigured("maxmemory-policy", found.decode(), "noeviction")
    schema = keys.name("schema")
    found = link.ask("GET", schema)
    if found is None:  # a server at its maxmemory refuses a SET, but its workers have to come back
        link.ask("SET", schema, SCHEMA_VERSION, "NX")
        found = link.ask("GET", schema)
    if found != str(SCHEMA_VERSION).encode():
        raise SchemaMismatch(found.decode(), str(SCHEMA_VERSION))
