"""The console channel: a notification is printed.

Owns: its layout. Must not: be used where standard output is data.
"""

from __future__ import annotations

import sys

from engine.integrations.notify import Message, Receipt


class ConsoleNotifier:
    """Prints to standard output; takes no target."""

    def __init__(self, target: str = "") -> None:
        self.target = target

    def send(self, recipient: str, message: Message) -> Receipt:
        """Prints the message in one piece, so that those of several threads do not mix."""
        body = message.body.replace("\n", "\n    ")
        sys.stdout.write(f"[{recipient}] {message.subject}\n    {body}\n")
        sys.stdout.flush()
        return Receipt("console", recipient, message.key)
