"""An engine used before `os.fork()` works in parent and children, as under gunicorn."""

from __future__ import annotations

import os
import threading

from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet


def in_child(act: object) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            act()  # type: ignore[operator]
            os._exit(0)
        except BaseException:  # noqa: BLE001
            os._exit(1)
    return pid


def ended(pid: int) -> bool:
    done, status = os.waitpid(pid, os.WNOHANG)
    return done == pid and (status == 0 or _failed(status))


def _failed(status: int) -> bool:
    raise AssertionError(f"the child failed: {status}")


def test_parent_and_children_send_and_wait(fleet: Fleet) -> None:
    fleet.start()
    assert workload.short.send(1).wait(timeout="10s") == "completed"

    def serve() -> None:
        for number in range(20):
            assert workload.line.start(number).wait(timeout="20s") == "completed"

    stop = threading.Event()

    def keep_sending() -> None:
        while not stop.is_set():
            fleet.history.accepted([workload.short.send(1)])

    sender = threading.Thread(target=keep_sending)
    sender.start()  # a fork amid a send must not hand on a half-read socket or a held lock
    children = [in_child(serve) for _ in range(3)]
    for pid in children:
        eventually(lambda p=pid: ended(p), 40)
    stop.set()
    sender.join(10)
    assert workload.short.send(1).wait(timeout="10s") == "completed"
    fleet.history.wait_ended(20)
    fleet.history.check(gentle=True)
