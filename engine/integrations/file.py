"""The file channel: a notification is a JSON line at the end of a file.

Owns: the shape of the line. Must not: rotate or read the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from engine.errors import OptionInvalid
from engine.integrations.errors import NotificationFailed
from engine.integrations.notify import Message, Receipt

# Notifications may tell what is not for everybody on the machine.
_MODE = 0o600


class FileNotifier:
    """Appends to one file; several processes may share it.

    Args:
        target: Path of the file; its directory is made if it is missing.
    """

    def __init__(self, target: str) -> None:
        if not target:
            raise OptionInvalid("channel", "file:", "a path, as in file:notices.jsonl")
        self.path = Path(target)

    def send(self, recipient: str, message: Message) -> Receipt:
        """Appends the line; raises NotificationFailed where the disk does not take it."""
        told = {
            "key": message.key,
            "to": recipient,
            "subject": message.subject,
            "body": message.body,
        }
        line = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            self._append(line)
        except OSError as error:
            problem = error.strerror or type(error).__name__
            raise NotificationFailed("file", f"{self.path}: {problem}") from error
        return Receipt("file", recipient, message.key)

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            # One write to a file opened for appending is not torn by another process's.
            if os.write(file, line) != len(line):
                raise OSError("the disk took a part of the line")
        finally:
            os.close(file)
