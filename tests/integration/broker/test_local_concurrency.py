"""One process holds no more of a queue than its `local_concurrency`; the rest is for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
import pytest

from engine import Settings, build, current, stage
from engine.bootstrap import Engine
from engine.workflow import registry
from tests.chaos.eventually import eventually
from tests.servers import ThrowawayServer

CAP = 2


class Crowd:
    """Counts who is inside, and remembers the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = self.passed = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            with self._lock:
                self.inside -= 1
                self.passed += 1


@pytest.fixture
def engine(calm_server: ThrowawayServer, namespace: str) -> Iterator[Engine]:
    settings = Settings(
        redis_url=calm_server.url,
        namespace=namespace,
        queues={"few": {"local_concurrency": CAP}},
    )
    with registry.isolated() as definitions:
        made = build(settings, definitions=definitions, make_current=False)
        with current.use(made):
            yield made
        made.close()


@contextmanager
def working(engine: Engine, threads: int = 8) -> Iterator[None]:
    worker = dramatiq.Worker(engine.broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def test_no_more_run_at_once_than_the_process_may(engine: Engine) -> None:
    crowd = Crowd()

    @stage(queue="few")
    def work(number: int) -> None:
        with crowd.entered():
            time.sleep(0.02)

    runs = work.send_many(range(40))
    with working(engine):
        for run in runs:
            run.wait("20s")
    assert (crowd.passed, crowd.most) == (40, CAP)


def test_short_attempts_are_capped_too_and_come_to_an_end(engine: Engine) -> None:
    crowd = Crowd()

    @stage(queue="few")
    def work(number: int) -> None:
        with crowd.entered():
            pass

    runs = work.send_many(range(500))
    with working(engine):
        for run in runs:
            run.wait("20s")
    assert crowd.passed == 500
    assert crowd.most <= CAP


def test_what_it_may_not_run_stays_in_its_queue_for_others(engine: Engine) -> None:
    released = threading.Event()

    @stage(queue="few")
    def work(number: int) -> None:
        released.wait(20)

    store = engine.store
    runs = work.send_many(range(10))
    with working(engine):
        try:
            eventually(lambda: store.queues.count("few").leased == CAP)
            time.sleep(0.3)
            held = store.queues.count("few")
            assert (held.leased, held.waiting) == (CAP, 10 - CAP)
            store.transit.enlist("other", "host", 1, "0.1", [("few", None)])
            link = store.links.take()
            batch = store.transit.fetch(link, "other", 1, 10, [("few", 10)], idle=True)
            assert len(batch.deliveries) == 10 - CAP
            store.transit.reconcile(link, "other", [])
            store.transit.retire("other")
        finally:
            released.set()
        for run in runs:
            run.wait("20s")


def test_other_queues_go_on_beside_a_queue_at_its_cap(engine: Engine) -> None:
    released = threading.Event()

    @stage(queue="few")
    def stuck(number: int) -> None:
        released.wait(20)

    @stage(queue="many")
    def quick(number: int) -> int:
        return number

    stopped = stuck.send_many(range(5))
    with working(engine, threads=4):
        try:
            eventually(lambda: engine.store.queues.count("few").leased == CAP)
            began = time.monotonic()
            for run in quick.send_many(range(50)):
                run.wait("10s")
            assert time.monotonic() - began < 5
            assert engine.store.queues.count("few").leased == CAP
        finally:
            released.set()
        for run in stopped:
            run.wait("20s")


def test_a_process_at_its_cap_is_quiet(engine: Engine) -> None:
    released = threading.Event()

    @stage(queue="few")
    def work(number: int) -> None:
        released.wait(20)

    def scripts_run() -> int:
        return int(engine.store.client.info("commandstats")["cmdstat_evalsha"]["calls"])

    runs = work.send_many(range(10))
    with working(engine):
        try:
            eventually(lambda: engine.store.queues.count("few").leased == CAP)
            time.sleep(0.5)
            before = scripts_run()
            time.sleep(2)
            assert scripts_run() - before < 12
        finally:
            released.set()
        for run in runs:
            run.wait("20s")
