"""What the doctor says of a server, from what the server says of itself."""

from __future__ import annotations

import pytest

from engine.control.doctor import Finding, Grade, examine, worst
from engine.store.server import ServerFacts

FIT = ServerFacts(
    software="Redis",
    version="7.2.4",
    info={"aof_enabled": "1", "role": "master", "used_memory": "1000000", "maxmemory": "100000000"},
    settings={
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    },
    clock_ahead_ms=12,
    ping_ms=[0.1, 0.2, 0.3],
    schema="1",
)


def finding(facts: ServerFacts, what: str) -> Finding:
    return next(one for one in examine(facts) if one.what == what)


def test_a_fit_server_passes() -> None:
    assert worst(examine(FIT)) is Grade.OK


@pytest.mark.parametrize(
    ("what", "facts"),
    [
        ("version", FIT._replace(version="6.2.14")),
        ("role", FIT._replace(info={**FIT.info, "role": "slave"})),
        ("persistence", FIT._replace(info={**FIT.info, "aof_enabled": "0"})),
        ("persistence", FIT._replace(info={**FIT.info, "aof_last_write_status": "err"})),
        (
            "maxmemory-policy",
            FIT._replace(settings={**FIT.settings, "maxmemory-policy": "allkeys-lru"}),
        ),
        ("schema", FIT._replace(schema="99")),
    ],
)
def test_what_would_lose_work_fails_and_says_what_to_change(what: str, facts: ServerFacts) -> None:
    found = finding(facts, what)
    assert found.grade is Grade.FAIL
    assert found.change


@pytest.mark.parametrize(
    ("what", "facts"),
    [
        (
            "persistence",
            FIT._replace(info={**FIT.info, "aof_enabled": "0"}, settings={"save": "60 1"}),
        ),
        ("appendfsync", FIT._replace(settings={**FIT.settings, "appendfsync": "no"})),
        ("appendfsync", FIT._replace(settings={})),
        ("memory", FIT._replace(info={**FIT.info, "maxmemory": "0"})),
        ("memory", FIT._replace(info={**FIT.info, "used_memory": "90000000"})),
        ("clock", FIT._replace(clock_ahead_ms=-3_600_000)),
        ("latency", FIT._replace(ping_ms=[20.0, 21.0, 22.0])),
    ],
)
def test_what_is_doubtful_warns_and_says_what_to_change(what: str, facts: ServerFacts) -> None:
    found = finding(facts, what)
    assert found.grade is Grade.WARN
    assert found.change
