"""The embedded server: one for each data directory, whatever its starters do."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from engine.store import embedded
from engine.store.data_directory import EmbeddedServerError
from engine.store.embedded import EmbeddedServer, ServerBinaryMissing
from tests.servers import free_port

Make = Callable[..., EmbeddedServer]


@pytest.fixture
def make(tmp_path: Path, server_binary: Path) -> Iterator[Make]:
    """Make servers of this test's program; whatever runs at the end is stopped."""
    made: list[EmbeddedServer] = []

    def make(directory: Path = tmp_path / "state", **options: object) -> EmbeddedServer:
        made.append(EmbeddedServer(directory, **{"binary": server_binary, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.stop()


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_a_started_server_answers_with_the_settings_we_demand(make: Make) -> None:
    server = make()
    assert server.start() == server.url
    with client(server) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
        assert connection.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert connection.config_get("port") == {"port": "0"}


def test_nobody_else_may_enter_its_directories(make: Make, tmp_path: Path) -> None:
    (tmp_path / "state" / "run").mkdir(parents=True, mode=0o755)
    server = make()
    server.start()
    for directory in (server.directory.socket().parent, server.directory.data):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.directory.log.stat().st_mode) == 0o600


def test_a_second_start_attaches_to_the_first(make: Make) -> None:
    first, second = make(), make()
    assert first.start() == second.start()
    assert first.pid == second.pid
    with second:
        pass  # it started nothing, so leaving it stops nothing
    assert first.running()


def test_a_context_manager_stops_what_it_started(make: Make) -> None:
    with make() as server:
        assert server.running()
    assert not server.running()
    assert server.pid is None
    server.stop()  # a second stop is no error


def test_the_server_outlives_its_starter_and_is_nobodys_child(make: Make, tmp_path: Path) -> None:
    server = make()
    code = (
        "import sys; from engine.store.embedded import EmbeddedServer;"
        "EmbeddedServer(sys.argv[1], binary=sys.argv[2]).start()"
    )
    arguments = [str(server.directory.path), str(server._binary)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=30)
    assert server.running()
    with client(server) as connection:
        assert connection.ping()
    assert server.pid is not None
    assert os.getsid(server.pid) != os.getsid(0)


def test_two_processes_that_race_give_one_server(make: Make) -> None:
    server = make()
    code = (
        "import sys; from engine.store.embedded import EmbeddedServer;"
        "server = EmbeddedServer(sys.argv[1], binary=sys.argv[2]);"
        "server.start(); print(server.pid)"
    )
    arguments = [sys.executable, "-c", code, str(server.directory.path), str(server._binary)]
    racers = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(4)]
    pids = {racer.communicate(timeout=60)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0] * 4
    assert pids == {f"{server.pid}\n".encode()}


def test_what_was_acknowledged_survives_kill_9(make: Make) -> None:
    server = make(appendfsync="always")
    server.start()
    with client(server) as connection:
        for number in range(200):
            connection.rpush("kept", number)
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = make(appendfsync="always")
    again.start()
    assert again.pid != pid
    with client(again) as connection:
        assert connection.lrange("kept", 0, -1) == [str(number) for number in range(200)]


def test_a_start_waits_until_the_data_is_loaded(make: Make) -> None:
    with make() as server, client(server) as connection:
        connection.eval("for i = 1, 200000 do redis.call('SET', 'k' .. i, i) end", 0)
    with make(timeout_ms=5_000) as server, client(server) as connection:
        assert connection.dbsize() == 200_000


def test_a_frozen_server_is_stopped_nevertheless(make: Make) -> None:
    server = make(timeout_ms=700)
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not server.running()


def test_a_deep_directory_gets_a_short_socket(make: Make, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-directory"] * 4)
    first, second = make(deep), make(deep)
    assert first.start() == second.start()
    assert len(os.fsencode(first.directory.socket())) <= 100
    assert stat.S_IMODE(first.directory.socket().parent.stat().st_mode) == 0o700
    with client(first) as connection:
        assert connection.ping()


def test_a_path_with_spaces_makes_a_good_url(make: Make, tmp_path: Path) -> None:
    server = make(tmp_path / "my state %")
    server.start()
    with client(server) as connection:
        assert connection.ping()


def test_a_port_is_opened_when_asked_for(make: Make) -> None:
    port = free_port()
    make(port=port).start()
    with redis.Redis(port=port) as connection:
        assert connection.ping()
    with pytest.raises(EmbeddedServerError, match=f"already runs on port {port}"):
        make(port=port + 1).start()


def test_an_unknown_locale_does_not_matter(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    make().start()


def test_a_server_that_does_not_start_shows_its_log(make: Make) -> None:
    server = make(extra_args=("--no-such-option", "1"))
    with pytest.raises(EmbeddedServerError, match="no-such-option") as caught:
        server.start()
    assert caught.value.code == "embedded_server"
    assert not server.running()


def test_a_binary_that_is_none_is_a_named_error(make: Make, tmp_path: Path) -> None:
    server = make(binary=tmp_path / "nothing")
    with pytest.raises(EmbeddedServerError, match="nothing"):
        server.start()


def test_a_directory_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match="CALLBOARD_DATA_DIR"):
        EmbeddedServer(tmp_path / "file" / "state").start()


def test_a_linked_run_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmbeddedServerError, match="link"):
        EmbeddedServer(tmp_path).start()


def test_no_program_at_all_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "carried_binary", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerBinaryMissing, match=r"callboard\[embedded\]"):
        embedded.find_binary()


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "state")
    assert not server.running()
    server.stop()
    assert not (tmp_path / "state").exists()
