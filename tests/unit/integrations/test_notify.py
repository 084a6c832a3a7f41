"""Notifications: channels by name, and the two that are ours."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.integrations import notify
from engine.integrations.errors import NotificationFailed, UnknownChannel
from engine.integrations.notify import Message, Receipt, channels, notifier, register

MESSAGE = Message(subject="Hello", body="line one\nline two", key="run/1")


def test_a_channel_is_added_without_changing_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_registered", {})

    class Pigeon:
        def __init__(self, target: str) -> None:
            self.target = target

        def send(self, recipient: str, message: Message) -> Receipt:
            return Receipt(f"pigeon from {self.target}", recipient, message.key)

    register("pigeon", Pigeon)

    assert notifier("pigeon:the:roof").send("acme", MESSAGE).channel == "pigeon from the:roof"
    assert channels() == ["console", "file", "pigeon"]


def test_a_channel_comes_with_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "sms"

        def load(self) -> object:
            return lambda target: f"an SMS notifier for {target}"

    def points(*, group: str, name: str | None = None) -> list[Point]:
        assert group == "callboard.channels"
        return [Point()] if name in (None, "sms") else []

    monkeypatch.setattr(notify, "entry_points", points)

    assert notifier("sms:+49") == "an SMS notifier for +49"
    with pytest.raises(UnknownChannel, match="Did you mean 'sms'"):
        notifier("smms")


def test_the_console_prints(capsys: pytest.CaptureFixture[str]) -> None:
    receipt = notifier("console").send("acme/code", MESSAGE)

    assert capsys.readouterr().out == "[acme/code] Hello\n    line one\n    line two\n"
    assert receipt == Receipt("console", "acme/code", "run/1")


def test_a_file_takes_lines_from_many_threads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "notices.jsonl"
    channel = notifier(f"file:{path}")
    threads = [
        threading.Thread(target=lambda: [channel.send("acme", MESSAGE) for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    expected = {"key": "run/1", "to": "acme", "subject": "Hello", "body": MESSAGE.body}
    assert lines == [expected] * 200
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(NotificationFailed, match="'file' could not send"):
        notifier(f"file:{tmp_path}").send("acme", MESSAGE)


def test_a_file_needs_a_path() -> None:
    with pytest.raises(ConfigurationError, match=r"file:notices\.jsonl"):
        notifier("file")
