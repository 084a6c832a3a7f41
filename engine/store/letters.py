"""Dead letters: listing, reading, redriving and purging them."""

from __future__ import annotations

from typing import NamedTuple

from engine.store.connection import Links
from engine.store.wire import StageBody, input_of, stage_body_of


class Letter(NamedTuple):
    """A dead letter with its whole story.

    Attributes:
        message: Id of the message; for stages `<run>:<position>`.
        reason: Stable word, such as `attempts_exhausted`, `stalled` or `undecodable`.
        story: What the worker told of the last failure, as JSON; empty if it could tell nothing.
        errors: Earlier failures, oldest first, as JSON.
        record: The message as stored: header line and body bytes.
    """

    message: str
    queue: str
    tenant: str
    reason: str
    died_at_ms: int
    story: bytes
    errors: list[bytes]
    record: bytes

    @property
    def body(self) -> bytes:
        """The body as it came, without the header line."""
        return self.record.partition(b"\n")[2]

    @property
    def attempt(self) -> int:
        """The try at which it died; 0 if the header cannot be read."""
        words = self.record.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


class Letters:
    """The dead letters of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def newest(self, queue: str, *, at: int = 0, at_most: int = 50) -> list[str]:
        """Ids of a queue's letters, newest first."""
        name = self.links.keys.name("dead", queue=queue)
        found = self.links.command("ZRANGE", name, at, at + at_most - 1, "REV")
        return [message.decode() for message in found]

    def read(self, message: str) -> Letter | None:
        """One letter; None if there is none."""
        keys = self.links.keys
        fields, errors = self.links.commands(
            [
                ("HMGET", keys.name("letter", message=message), *_FIELDS),
                ("LRANGE", keys.name("errors", message=message), 0, -1),
            ]
        )
        if fields[0] is None:
            return None
        queue, tenant, reason, died, story, record = fields
        return Letter(
            message,
            queue.decode(),
            tenant.decode(),
            reason.decode(),
            int(died),
            story,
            errors,
            record,
        )

    def input_of(self, letter: Letter) -> tuple[StageBody, bytes] | None:
        """A stage's message and the input that it would run on; None if either is gone.

        Raises:
            msgspec.MsgspecError: Its body cannot be read.
        """
        keys, kind = self.links.keys, letter.record[:1].decode(errors="replace")
        run, _, position = letter.message.partition(":")
        inputs: list[bytes] | None = None
        body = letter.body
        if kind == "j":
            name, _, body = body.partition(b"\n")
            join = keys.name("join", run=run, position=name.decode())
            members = self.links.command("HGET", join, "members")
            inputs = members and self.links.command("HMGET", join, *range(int(members)))
        elif kind == "e":
            each, _, item = position.rpartition(".")
            name_of_each = keys.name("each", run=run, position=each)
            inputs = self.links.command("HMGET", name_of_each, "body", item)
            body = (inputs and inputs[0]) or b""
        stage_body = stage_body_of(body)
        payload = input_of(kind, stage_body, inputs)
        return None if payload is None else (stage_body, payload)

    def redrive(self, message: str, body: bytes = b"", *, whole: bool = False) -> str:
        """Puts a letter back to work.

        Args:
            message: Its message id.
            body: A corrected message in place of the old one.
            whole: The new body carries the stage's input, wherever the old one took it from.

        Returns:
            `redriven`, or why it stays: `unknown`, `run_gone`, `undoing`, `undone`, `undecodable`.
        """
        arguments: list[bytes | str] = [message, body, "whole" if whole else ""]
        return str(self.links.call("redrive", arguments).decode())

    def purge(self, queue: str, *, before_ms: int | None = None, message: str = "") -> int:
        """Forgets letters that died before a time (default: all), or one; returns how many."""
        before = "+inf" if before_ms is None else f"({before_ms}"
        total = 0
        while number := self.links.call("purge", [queue, before, message, 500]):
            total += number
        return total


_FIELDS = ("queue", "tenant", "reason", "died_at", "story", "record")
