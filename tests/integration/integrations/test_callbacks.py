"""Where callbacks arrive: what is taken in, what is refused, and with which words."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import string
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine import Context, Pipeline, Settled, repeat, stage, wait_for
from engine.errors import (
    CallbackForged,
    CallbackLate,
    CallbackRepeated,
    ConfigurationError,
    NoWaitAhead,
    PayloadTooLarge,
)
from engine.integrations import callback_server
from engine.integrations.callbacks import receive
from engine.workflow.callback import Callback
from engine.workflow.run import Run, RunState
from tests.chaos.eventually import eventually
from tests.integration.integrations.conftest import Office
from tests.integration.integrations.workflows import post

JSON = {"Content-Type": "application/json"}
YES = {"ok": True, "value": "yes"}


def asking(office: Office, into: Any = str, **options: Any) -> tuple[Run, Callback]:
    """A run that waits, and the callback that its stage asked for."""
    asked: list[Callback] = []

    @stage
    def ask(order: int, ctx: Context) -> int:
        asked.append(ctx.callback("approved", **options))
        return order

    @stage
    def tell(answer: into) -> Any:  # type: ignore[valid-type]
        return answer

    run = office.start(Pipeline("order", ask | wait_for("approved", into) | tell), 1)
    eventually(lambda: any(s.stage == "ask" and s.state == "done" for s in run.view().stages))
    return run, asked[0]


def test_who_has_the_token_ends_the_wait(office: Office) -> None:
    run, callback = asking(office)
    office.engine.callbacks.resume(callback.token, "yes")
    assert run.result("10s") == "yes"
    with pytest.raises(CallbackRepeated, match=run.id):
        office.engine.callbacks.resume(callback.token, "no")
    with pytest.raises(CallbackRepeated):
        office.engine.callbacks.reject(callback.token, "no")


def test_a_rejection_fails_the_run_where_it_waits(office: Office) -> None:
    run, callback = asking(office)
    office.engine.callbacks.reject(callback.token, "too dear")
    assert run.wait("10s") is RunState.FAILED
    [letter] = office.letters()
    assert letter.reason == "callback_rejected"
    assert b"too dear" in letter.story


def test_a_rejection_is_a_value_where_the_wait_settles(office: Office) -> None:
    run, callback = asking(office, Settled[str])
    office.engine.callbacks.reject(callback.token, "too dear")
    error = {"type": "CallbackRejected", "message": "too dear"}
    assert run.result("10s") == {"ok": False, "value": None, "error": error}
    run, callback = asking(office, Settled[str])
    office.engine.callbacks.resume(callback.token, "cheap")
    assert run.result("10s") == {"ok": True, "value": "cheap", "error": None}


def test_no_letter_of_a_token_can_be_changed(office: Office) -> None:
    run, callback = asking(office)
    alphabet = string.ascii_letters + string.digits + "-_"
    for at, letter in enumerate(callback.token):
        for other in {alphabet[(alphabet.find(letter) + 1) % 64], ".", "A"} - {letter}:
            forged = callback.token[:at] + other + callback.token[at + 1 :]
            with pytest.raises(CallbackForged):
                office.engine.callbacks.check(forged)
    claim, _, seal = callback.token.partition(".")
    pieces = ("", ".", claim, f"{claim}.", f".{seal}", callback.token + "=", callback.token + "A")
    for forged in (*pieces, callback.token[:-1], "é" * 40, "\ud800", "x" * 100_000):
        with pytest.raises(CallbackForged):
            office.engine.callbacks.check(forged)
    assert run.status() is RunState.RUNNING


def test_a_token_of_another_namespace_purpose_or_secret_is_forged(office: Office) -> None:
    from engine.workflow import callback as callbacks
    from engine.workflow import invitation

    _, given = asking(office)
    own, secret = office.engine.callbacks, office.engine.store.callbacks.secret()
    claim = own.check(given.token)
    namespace = office.engine.settings.namespace
    assert callbacks.sealed(claim, secret, namespace) == given.token
    for forged in (
        callbacks.sealed(claim, secret, "other"),
        callbacks.sealed(claim, b"another secret", namespace),
        own.invite("order").rpartition("/")[2],
    ):
        with pytest.raises(CallbackForged):
            own.resume(forged, "yes")
    with pytest.raises(CallbackForged):
        invitation.opened(given.token, secret, namespace)


@pytest.mark.parametrize("office", [{"callback_secret": "s" * 32}], indirect=True)
def test_a_secret_that_is_set_is_used_and_none_is_stored(office: Office) -> None:
    run, callback = asking(office)
    office.engine.callbacks.resume(callback.token, "yes")
    assert run.result("10s") == "yes"
    links = office.engine.store.links
    assert links.command("EXISTS", links.keys.name("secret")) == 0


def test_a_callback_shows_no_token_where_it_is_printed(office: Office) -> None:
    _, callback = asking(office)
    assert callback.token not in repr(callback)
    assert callback.token not in str(callback)
    assert callback.url.endswith(callback.token)


def test_a_cancelled_run_takes_no_callback(office: Office) -> None:
    run, callback = asking(office)
    run.cancel()
    with pytest.raises(CallbackLate, match="cancelled"):
        office.engine.callbacks.resume(callback.token, "yes")


def test_a_callback_has_a_time_of_its_own(office: Office) -> None:
    run, callback = asking(office, ttl="1ms")
    with pytest.raises(CallbackLate):
        eventually(lambda: office.engine.callbacks.resume(callback.token, "yes"))
    assert run.status() is RunState.RUNNING


def test_a_value_over_the_limit_is_refused_and_the_wait_goes_on(office: Office) -> None:
    run, callback = asking(office)
    with pytest.raises(PayloadTooLarge):
        office.engine.callbacks.resume(callback.token, "x" * 20_001)
    office.engine.callbacks.resume(callback.token, "yes")
    assert run.result("10s") == "yes"


def test_every_round_of_a_repeat_has_a_callback_of_its_own(office: Office) -> None:
    asked: list[Callback] = []

    @stage
    def ask(number: int, ctx: Context) -> int:
        asked.append(ctx.callback("more"))
        return number

    def enough(number: int) -> bool:
        return number >= 3

    run = office.start(Pipeline("rounds", repeat(ask | wait_for("more", int), until=enough)), 0)
    for number in (1, 2, 3):
        eventually(lambda: len(asked) == number)  # noqa: B023 - asked within the round
        office.engine.callbacks.resume(asked[-1].token, number)
    assert run.result("10s") == 3
    assert len({callback.id for callback in asked}) == 3
    with pytest.raises(CallbackRepeated):
        office.engine.callbacks.resume(asked[0].token, 9)


def test_a_stage_that_asks_for_a_wait_that_never_comes_is_told(office: Office) -> None:
    told: list[Exception] = []

    @stage
    def ask(order: int, ctx: Context) -> int:
        for name in ("aproved", "other"):
            with pytest.raises(NoWaitAhead) as error:
                ctx.callback(name)
            told.append(error.value)
        return order

    run = office.start(Pipeline("order", ask | wait_for("approved")), 1)
    run.signal("approved", 1)
    assert run.result("10s") == 1
    assert "Did you mean 'approved'?" in str(told[0])
    assert "Did you mean" not in str(told[1])


# -- over HTTP


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "callback_body_invalid"),
        (b"{", {}, 400, "callback_body_invalid"),
        (b'"yes"', {}, 400, "callback_body_invalid"),
        (b'{"value": 1}', {}, 400, "callback_body_invalid"),
        (b'{"ok": 1, "value": 1}', {}, 400, "callback_body_invalid"),
        (b'{"ok": true, "value": "\xff"}', {}, 400, "callback_body_invalid"),
        (b'{"ok": true, "value": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", {}, 400, None),
        (b'{"ok": true, "value": NaN}', {}, 400, "callback_body_invalid"),
        (b'{"ok": false, "error": 7}', {}, 400, "callback_body_invalid"),
        (b'{"ok": true}', {"Content-Type": "text/plain"}, 415, "not_json"),
        (b'{"ok": true, "value": "%b"}' % (b"x" * 20_200), {}, 413, "payload_too_large"),
        (b"x" * 30_000, {}, 413, "payload_too_large"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_and_the_wait_goes_on(
    office: Office, body: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    run, callback = asking(office)
    found, answer = post(callback.url, body, headers=headers)
    assert found == status
    assert code is None or answer["code"] == code
    assert post(callback.url, YES) == (200, {"status": "accepted", "runId": run.id})
    assert run.result("10s") == "yes"


@pytest.mark.parametrize("error", ["too dear", {"message": "too dear", "node": "HTTP Request"}])
def test_an_error_is_a_text_or_has_a_message(office: Office, error: object) -> None:
    run, callback = asking(office)
    assert post(callback.url, {"ok": False, "error": error})[0] == 200
    assert run.wait("10s") is RunState.FAILED
    assert b"too dear" in office.letters()[0].story


def test_who_has_no_right_learns_nothing_but_that(office: Office) -> None:
    _, callback = asking(office)
    for body in (YES, b"{"):
        status, answer = post(f"{callback.url}x", body)
        assert (status, answer["code"]) == (403, "callback_forged")
    assert post(f"{office.desk.url}/pipelines/{callback.token}", YES)[0] == 403
    assert post(f"{office.desk.url}/other/{callback.token}", YES)[0] == 404


def test_a_reader_of_links_answers_nothing(office: Office) -> None:
    run, callback = asking(office)
    for method in ("GET", "HEAD", "PUT"):
        connection = http.client.HTTPConnection("127.0.0.1", office.desk.server_address[1])
        connection.request(method, callback.url.removeprefix(office.desk.url))
        assert connection.getresponse().status in (405, 501)
        connection.close()
    assert run.status() is RunState.RUNNING
    assert post(f"{office.desk.url}/health", b"", method="GET") == (200, {"healthy": True})


def test_a_request_that_does_not_say_its_length_is_refused(office: Office) -> None:
    with socket.create_connection(office.desk.server_address[:2], 5) as raw:  # type: ignore[arg-type]
        raw.sendall(b"POST /callbacks/x HTTP/1.0\r\n\r\n")
        assert b" 411 " in raw.recv(1000).splitlines()[0]


def test_a_store_that_does_not_answer_is_a_reason_to_send_it_again() -> None:
    from engine import Settings
    from engine.bootstrap import build

    away = Settings(
        redis_url="redis://127.0.0.1:1/0", redis_timeout_ms=100, callback_secret="s" * 32
    )
    engine = build(away, make_current=False)
    from engine.workflow.callback import Claim, sealed

    token = sealed(Claim("0" * 32, "1"), b"s" * 32, engine.settings.namespace)
    status, answer = receive(token, b'{"ok": true}', JSON, engine=engine)
    assert (status, answer["code"]) == (503, "store_unreachable")


def test_of_many_answers_at_one_moment_one_counts(office: Office) -> None:
    run, callback = asking(office)
    ready = threading.Barrier(16)

    def answer(number: int) -> tuple[int, int]:
        ready.wait(10)
        return post(callback.url, {"ok": True, "value": str(number)})[0], number

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(answer, range(16)))
    assert sorted(status for status, _ in told) == [200] + [409] * 15
    [winner] = [number for status, number in told if status == 200]
    assert run.result("10s") == str(winner)


def test_connections_that_say_nothing_do_not_keep_others_out_for_long(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_server, "_WHOLE_S", 1.0)
    run, callback = asking(office)
    address = ("127.0.0.1", office.desk.server_address[1])
    silent = [socket.create_connection(address, 5) for _ in range(80)]
    try:
        eventually(lambda: _answers(callback), 10)
    finally:
        for each in silent:
            each.close()
    assert run.result("10s") == "yes"


def _answers(callback: Callback) -> bool:
    try:
        return post(callback.url, YES)[0] in (200, 409)
    except (OSError, http.client.HTTPException):
        return False  # there was no room


@pytest.mark.parametrize("office", [{"callback_base_url": None}], indirect=True)
def test_without_a_base_an_address_is_an_error_and_a_token_is_not(office: Office) -> None:
    run, callback = asking(office)
    with pytest.raises(ConfigurationError, match="CALLBOARD_CALLBACK_BASE_URL"):
        _ = callback.url
    office.engine.callbacks.resume(callback.token, "yes")
    assert run.result("10s") == "yes"


APP = """
from engine import Pipeline, stage

@stage
def add(number: int) -> int:
    return number + 1

adding = Pipeline("adding", add)
"""


def test_the_command_receives_callbacks_and_starts_pipelines(
    office: Office, tmp_path: Path
) -> None:
    run, callback = asking(office)
    (tmp_path / "adding_app.py").write_text(APP)
    environment = {
        **os.environ,
        "CALLBOARD_REDIS_URL": office.engine.settings.redis_address() or "",
        "CALLBOARD_NAMESPACE": office.engine.settings.namespace,
        "CALLBOARD_CALLBACK_BASE_URL": office.desk.url,
    }
    command = [sys.executable, "-m", "engine.cli", "callbacks", "-m", "adding_app"]
    printed = subprocess.run(
        [*command, "--invite", "adding", "--tenant", "acme"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    invitation = printed.stdout.strip().rpartition("/")[2]
    process = subprocess.Popen(
        [*command, "--port", "0"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        line = process.stderr.readline()
        assert "callbacks arrive at http://127.0.0.1:" in line
        url = line.split()[-1]
        assert post(f"{url}/callbacks/{callback.token}", YES)[0] == 200
        assert run.result("10s") == "yes"
        status, answer = post(f"{url}/pipelines/{invitation}", 4)
        assert status == 202
        assert office.engine.view(answer["runId"]).tenant == "acme"
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert callback.token not in rest
    assert "Traceback" not in rest
