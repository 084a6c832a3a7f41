"""Callbacks as the store knows them: the secret that signs them, and what they bring to a wait."""

from __future__ import annotations

import secrets

from engine.store.connection import Links


class Callbacks:
    """The callbacks of one shard."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self._secret: bytes | None = None

    def secret(self) -> bytes:
        """The namespace's secret: 32 random bytes, made by whoever first needs them."""
        if self._secret is None:
            name = self.links.keys.name("secret")
            self.links.command("SET", name, secrets.token_bytes(32), "NX")
            self._secret = bytes(self.links.command("GET", name))
        return self._secret

    def answer(
        self, run: str, position: str, brought: bytes, *, failed: bool, until_ms: int
    ) -> str | None:
        """Brings JSON to one wait: a value, or the story of a failure.

        Args:
            run: Whose wait.
            position: Of the wait.
            brought: A value, or `{"reason": ..., "message": ...}`.
            failed: Which of the two.
            until_ms: From when on it comes too late; 0 for never.

        Returns:
            The script's verdict, None for an unknown run.
        """
        what = (b"-" if failed else b"+") + brought
        verdict = self.links.call("answer", [run, position, what, until_ms])
        return verdict.decode() if verdict else None
