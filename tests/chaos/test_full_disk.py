"""The server's disk full: finished work waits in the worker, and commits when there is space."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from engine import Run
from engine.errors import StoreBusy, StoreError
from tests.chaos import workload
from tests.chaos.eventually import eventually
from tests.chaos.fleet import Fleet
from tests.chaos.load import send_some
from tests.chaos.test_gentle import check_plain
from tests.servers import Fsync, ThrowawayServer

SIZE = 8 * 1024 * 1024


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def free(self) -> None:
        """Make space again."""
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "callboard-test", str(path)]
    try:
        tried = subprocess.run(mount, capture_output=True, text=True, timeout=10, check=False)
    except OSError as error:
        missing(f"no small disk: {error}")
    if tried.returncode:
        missing(f"no small disk: mounting a tmpfs needs root ({tried.stderr.strip()})")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], timeout=10, check=True)


@pytest.fixture
def make_server(disk: Disk) -> Iterator[Callable[[Fsync], ThrowawayServer]]:
    made: list[ThrowawayServer] = []

    def make(appendfsync: Fsync) -> ThrowawayServer:
        # A rewrite of its log would make space by itself.
        settings = {"auto-aof-rewrite-percentage": "0"}
        server = ThrowawayServer(appendfsync=appendfsync, directory=disk.path, settings=settings)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.close()


def work(fleet: Fleet) -> list[Run]:
    """Some of everything, and long attempts, which are given: they end when the disk is full."""
    fleet.start()
    send_some(fleet, 4)
    runs = workload.slow.send_many([1.0] * 4)
    fleet.history.accepted(runs)
    eventually(lambda: len(fleet.ledger.of("slow")) == 4)
    return runs


def ended(fleet: Fleet) -> int:
    return len([effect for effect in fleet.ledger.of("slow") if effect.item == "ended"])


def settle(fleet: Fleet) -> None:
    fleet.history.wait_ended(30)
    fleet.history.accepted([workload.short.send(1)])
    fleet.history.wait_ended(5)
    check_plain(fleet, gentle=True)
    fleet.history.check(gentle=True)
    assert not fleet.history.told("consumer.lost")


@pytest.mark.parametrize("outage_s", [0, pytest.param(12, marks=pytest.mark.chaos)])
def test_a_full_disk_holds_everything_and_loses_nothing(
    make_fleet: Callable[..., Fleet],
    make_server: Callable[[Fsync], ThrowawayServer],
    disk: Disk,
    outage_s: int,
) -> None:
    server = make_server("everysec")
    fleet = make_fleet(server.url)
    runs = work(fleet)
    disk.fill()

    def refused() -> bool:
        try:
            fleet.history.accepted([workload.short.send(1)])
        except StoreBusy as error:
            return "MISCONF" in str(error)
        return False

    eventually(refused, 10, "the server takes no writes any more")
    eventually(lambda: ended(fleet) == 4, 10, "attempts end although nothing can be written")
    eventually(lambda: "MISCONF" in fleet.log(), 10, "the worker is told")
    time.sleep(outage_s)  # 12 s are longer than any silence
    assert {run.status() for run in runs} == {"running"}, "what has ended is not committed"
    disk.free()
    settle(fleet)


def test_a_server_that_ends_on_a_full_disk_comes_back_with_all_it_has_acknowledged(
    make_fleet: Callable[..., Fleet], make_server: Callable[[Fsync], ThrowawayServer], disk: Disk
) -> None:
    server = make_server("always")
    fleet = make_fleet(server.url)
    work(fleet)
    disk.fill()
    eventually(lambda: not server.running, 10, "without its log it acknowledges nothing: it ends")
    fleet.engine.store.links.patience_ms = 100
    with pytest.raises(StoreError):
        workload.short.send(1)
    eventually(lambda: ended(fleet) == 4, 10, "attempts end although there is no server")
    disk.free()
    server.start()
    settle(fleet)
