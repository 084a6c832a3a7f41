"""The header of a script is its contract: complete, true, and kept by the wrapper that calls it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.store import connection, entries, scripts
from engine.store.entries import Beginning, Ending, Outgoing, pack
from engine.store.keys import Keys
from engine.store.queues import Limits
from engine.store.store import Store

ROOT = Path(scripts.__file__).parent / "lua"
NAMES = scripts.names()
INCLUDES = sorted(path.stem for path in (ROOT / "include").iterdir())
PARTS = ("SUMMARY", "KEYS", "ARGV", "RETURNS", "ERRORS", "COST", "FLAGS")
FLAGS = {"-", "allow-oom", "no-writes"}


class Arguments(NamedTuple):
    """What a header says of ARGV: fixed positions, and the first that repeats, if any does."""

    fixed: int
    repeated: int | None


def text_of(name: str) -> str:
    return (ROOT / f"{name}.lua").read_text()


def body_of(name: str) -> str:
    """The script's own code, without comments and includes."""
    return "\n".join(line for line in text_of(name).splitlines() if not line.startswith("--"))


def arguments_of(name: str) -> Arguments:
    """Reads `1 run, 2 waiter, 3.. names`; a number that is not the next one is prose."""
    fixed, repeated = 0, None
    for number, dots in re.findall(r"(?:^|[,;] )(\d+)(\.\.)? ", scripts.load(name).header["ARGV"]):
        if int(number) != fixed + 1 or repeated:
            continue
        if dots:
            repeated = int(number)
        else:
            fixed += 1
    return Arguments(fixed, repeated)


# -- headers


@pytest.mark.parametrize("name", NAMES)
def test_a_header_has_every_part(name: str) -> None:
    header = scripts.load(name).header
    assert sorted(header) == sorted(PARTS)
    assert all(header.values())
    assert header["SUMMARY"].startswith(f"{name}: ")
    assert header["KEYS"] == "1 prefix of the shard"
    assert header["FLAGS"] in FLAGS


@pytest.mark.parametrize("name", NAMES)
def test_a_cost_is_an_order_of_growth(name: str) -> None:
    assert re.match(r"O\(", scripts.load(name).header["COST"])


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_that_is_read_is_documented_and_the_other_way_round(name: str) -> None:
    said, body = arguments_of(name), body_of(name)
    read = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)}
    loops = {int(number) for number in re.findall(r"for i = (\d+), #ARGV", body)}
    assert read == set(range(1, said.fixed + 1))
    assert loops == ({said.repeated} if said.repeated else set())


@pytest.mark.parametrize("name", NAMES)
def test_every_error_that_is_raised_is_documented(name: str) -> None:
    raised = set(re.findall(r"error_reply\('([A-Z_]+)", body_of(name)))
    documented = set(re.findall(r"\b([A-Z][A-Z_]{3,})\b", scripts.load(name).header["ERRORS"]))
    assert raised == documented


@pytest.mark.parametrize("name", NAMES)
def test_what_must_go_on_when_memory_is_full_may(name: str) -> None:
    refused_when_full = {"answer", "enqueue", "start", "start_one", "redrive", "signal"}
    assert (scripts.load(name).flags == "allow-oom") == (name not in refused_when_full)


# -- includes


@pytest.mark.parametrize("name", NAMES)
def test_an_include_is_there_and_comes_after_what_it_needs(name: str) -> None:
    wanted = re.findall(r"^-- include: (\w+)$", text_of(name), re.MULTILINE)
    assert len(wanted) == len(set(wanted))
    for at, include in enumerate(wanted):
        assert include in INCLUDES
        needs = re.search(r"^-- needs: (.+)$", text_of(f"include/{include}"), re.MULTILINE)
        for needed in needs.group(1).split(", ") if needs else []:
            assert needed in wanted[:at], f"{include} needs {needed} before it"


@pytest.mark.parametrize("include", INCLUDES)
def test_an_include_introduces_itself_and_is_used(include: str) -> None:
    assert text_of(f"include/{include}").startswith(f"-- {include}: ")
    users = [n for n in NAMES if re.search(rf"^-- include: {include}$", text_of(n), re.MULTILINE)]
    assert users or include == "clock_shifted"


@pytest.mark.parametrize("name", NAMES)
def test_a_script_uses_what_it_includes(name: str) -> None:
    wanted = re.findall(r"^-- include: (\w+)$", text_of(name), re.MULTILINE)
    for include in wanted:
        offered = offers(include)
        users = [
            body_of(name),
            *(body_of(f"include/{other}") for other in wanted if other != include),
        ]
        assert any(re.search(rf"\b{word}\b", text) for text in users for word in offered), include


def offers(include: str) -> set[str]:
    """Names that an include defines at its top level, and what it adds to another's table."""
    body = body_of(f"include/{include}")
    found = re.findall(r"^local (?:function )?(\w+)", body, re.MULTILINE)
    return {*found, *re.findall(r"^ *function (\w+\.\w+)", body, re.MULTILINE)}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_unpacked_that_could_be_too_long(name: str) -> None:
    """`unpack` of a list that grows with its input goes by slices; see `slices`."""
    allowed = {"unpack(list", "unpack(cmsgpack", "unpack(entry", "unpack(m", "unpack(ARGV"}
    for text in (body_of(name), *(body_of(f"include/{i}") for i in INCLUDES)):
        for call in re.findall(r"(?<![.\w])unpack\([\w.]+(?:\[[^\]]*\])?", text):
            bounded = call.startswith(tuple(allowed)) or call in BOUNDED
            assert bounded, f"{call} in {name}: is it bounded? then say so in BOUNDED"


BOUNDED = {  # what bounds each list
    "unpack(forget": "two keys an entry of a commit",
    "unpack(failures[i]": "two",
    "unpack(moved": "two a message wanted",
    "unpack(stay": "a message wanted each, and the head",
    "unpack(leave": "a message wanted each",
    "unpack(drained": "a message wanted, or a tenant visited, each",
    "unpack(run.opened": "edges of a hop",
    "unpack(run.closed": "entries of a commit",
    "unpack(graves.burials[i]": "six",
    "unpack(arrivals.suspected[i]": "three",
    "unpack(dead[i]": "four",
    "unpack(returned": "200",
    "unpack(plain[i]": "two",
    "unpack(names": "one, and one an each or repeat around",
    "unpack(join.policy": "five",
    "unpack(successor": "five",
    "unpack(e": "eight",
    "unpack(w[3]": "six",
}


# -- builds


@pytest.mark.parametrize("name", NAMES)
def test_a_production_build_has_no_clock_that_could_be_moved(name: str) -> None:
    source = scripts.load(name).source.decode()
    assert "'clock'" not in source
    assert source.count("redis.call('TIME')") <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_test_build_differs_in_its_clock_alone(name: str) -> None:
    real, shifted = (
        scripts.load(name, shifted_clock=flag).source.decode() for flag in (False, True)
    )
    moved = " + (tonumber(redis.call('GET', KEYS[1] .. 'clock')) or 0)"
    assert shifted.replace(moved, "") == real
    tells_time = "clock_ms()" in body_of(name)
    assert not tells_time or moved in shifted


def test_the_production_build_is_what_a_store_runs_unless_a_test_says_otherwise() -> None:
    from engine.store.store import connect

    store = connect("redis://127.0.0.1:1/0")
    assert store.links.shifted_clock is False
    wired = [p for p in (ROOT.parent.parent).rglob("*.py") if "shifted_clock=True" in p.read_text()]
    assert wired == []


@pytest.mark.parametrize("name", NAMES)
def test_a_build_defines_nothing_that_it_does_not_use(name: str) -> None:
    source = scripts.load(name).source.decode()
    defined = re.findall(
        r"^(?:local )?function ([\w.]+)\(|^local ([A-Z_]+) =", source, re.MULTILINE
    )
    for word in (function or constant for function, constant in defined):
        assert len(re.findall(rf"\b{re.escape(word)}\b", source)) > 1, word


@pytest.mark.parametrize("name", NAMES)
def test_a_build_has_every_function_that_it_calls(name: str) -> None:
    source = scripts.load(name).source.decode()
    for table in re.findall(r"^local (\w+) = \{.*\}$", source, re.MULTILINE):
        called = set(re.findall(rf"\b{table}\.(\w+)\(", source))
        defined = set(re.findall(rf"^ *function {table}\.(\w+)\(", source, re.MULTILINE))
        assert called == defined


def test_a_table_has_room_for_all_that_is_put_into_it_by_name() -> None:
    source = scripts.load("enlist").source + scripts.load("enqueue").source
    [room] = re.findall(rb"^local arrivals = \{(.*)\}$", source, re.MULTILINE)
    named = set(re.findall(rb"^(?:function )?arrivals\.(\w+)", source, re.MULTILINE))
    assert named == set(re.findall(rb"(\w+) = 0", room))


def test_a_script_is_known_by_the_hash_of_its_source() -> None:
    import hashlib

    for name in NAMES:
        script = scripts.load(name)
        assert script.sha == hashlib.sha1(script.source, usedforsecurity=False).hexdigest().encode()


# -- wrappers


class Recorded(Exception):
    """Ends a wrapper as soon as it has made its call."""


class RecordingLinks:
    """Takes the place of `Links`: keeps what would be sent and answers with an exception."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.pool = None
        self.sent: list[tuple[str, list[Any]]] = []

    def call(self, name: str, arguments: Any) -> Any:
        self.sent.append((name, list(arguments)))
        raise Recorded

    def calls(self, batch: Any) -> Any:
        self.sent += [(name, list(arguments)) for name, arguments in batch]
        raise Recorded

    def take(self) -> RecordingLinks:
        return self

    def give(self, link: object) -> None: ...


ENDING = pack(Ending("m", "1", "d", "q", "t", "done"))
BEGINNING = Beginning(
    *("r", "pipe", "plan", "t", 1, 0, [("send", "0", "q", 5, "1", entries.text(b"{}"))], None, None)
)
WRAPPERS: dict[str, Callable[[Store, Any], object]] = {
    "answer": lambda s, _: s.callbacks.answer("r", "1", b"1", failed=False, until_ms=0),
    "beat": lambda s, link: s.transit.beat(link, "c", ["q", "p"], 0, silence_ms=1, gap_ms=1),
    "cancel": lambda s, _: s.runs.cancel("r"),
    "claim_duty": lambda s, _: s.duties.claim("a", 1, "d", 1000),
    "commit": lambda s, link: s.transit.commit(link, "c", 1, [ENDING, ENDING]),
    "enlist": lambda s, _: s.transit.enlist("c", "h", 1, "v", [("q", None), ("p", 2)]),
    "enqueue": lambda s, _: s.transit.enqueue("call", [Outgoing("m", "q", "t", 5, 1, 0, b"")] * 2),
    "fetch": lambda s, link: s.transit.fetch(link, "c", 1, 5, [("q", 5)]),
    "flush": lambda s, _: s.queues.flush("q"),
    "forget": lambda s, _: s.runs.forget(["r", "t"]),
    "lead": lambda s, _: s.lead("a", 1000),
    "limit": lambda s, _: s.queues.limit("t", Limits()),
    "pause": lambda s, _: s.queues.pause("q"),
    "prune": lambda s, _: s.runs.prune(started_before_ms=1, cancelled_before_ms=1),
    "purge": lambda s, _: s.letters.purge("q"),
    "reconcile": lambda s, link: s.transit.reconcile(link, "c", ["m", "n"]),
    "redrive": lambda s, _: s.letters.redrive("m"),
    "retire": lambda s, _: s.transit.retire("c"),
    "pause_run": lambda s, _: s.runs.pause("r"),
    "resume_run": lambda s, _: s.runs.resume("r"),
    "signal": lambda s, _: s.runs.signal("r", "n", b"1"),
    "start": lambda s, _: s.transit.start([b"", b""]),
    "start_one": lambda s, _: s.transit.start_one(BEGINNING),
    "usage": lambda s, _: s.usage.add("t", "kind", 1, once="r"),
    "wait": lambda s, _: s.runs.wait("r", 1),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrapper_passes_what_the_header_says(name: str) -> None:
    assert name in WRAPPERS, "a new script: say here which function calls it"
    links = RecordingLinks()
    store = Store(links)  # type: ignore[arg-type]
    with suppress(Recorded):
        WRAPPERS[name](store, links)
    [(called, sent)] = links.sent
    said = arguments_of(name)
    assert called == name
    if said.repeated:
        assert len(sent) >= said.fixed + 1
    else:
        assert len(sent) == said.fixed
    assert all(isinstance(argument, bytes | str | int | float) for argument in sent)


def test_bodies_that_are_packed_have_the_fields_that_the_headers_name() -> None:
    for name, fields in (("enqueue", 9), ("commit", len(Ending._fields)), ("start", 16)):
        argv = scripts.load(name).header["ARGV"]
        [listed] = re.findall(r"msgpack array a \w+: \{([^}]*)\}", argv)
        listed = re.sub(r"\([^)]*\)", "", listed)
        assert len(listed.split(",")) == fields, f"{name}: {listed}"


def test_only_the_store_sends_scripts() -> None:
    assert connection.__name__.startswith("engine.store")
    for source in ROOT.parent.parent.rglob("*.py"):
        if source.parent.name != "store":
            assert "EVALSHA" not in source.read_text()
