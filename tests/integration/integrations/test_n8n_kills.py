"""A worker dies between its POST to n8n and its commit: the job is handed over once more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine import Pipeline
from engine.integrations.n8n import n8n
from tests.chaos.eventually import eventually
from tests.integration.integrations.conftest import Office
from tests.integration.integrations.workflows import Execution

ROOT = Path(__file__).resolve().parents[3]


class Workers:
    """Starts worker processes, and kills them with all that they started."""

    def __init__(self, office: Office, webhook: str, log: Path) -> None:
        self.environment = {
            **os.environ,
            "N8N_STORE": office.engine.settings.redis_address() or "",
            "N8N_NAMESPACE": office.engine.settings.namespace,
            "N8N_DESK": office.desk.url,
            "N8N_WEBHOOK": webhook,
        }
        self.log = log
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        command = [sys.executable, "-m", "dramatiq", "-p", "1", "-t", "2"]
        with self.log.open("ab") as output:
            self.started.append(
                subprocess.Popen(
                    [*command, "tests.integration.integrations.n8n_app"],
                    cwd=ROOT,
                    env=self.environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )

    def kill(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "workers.log"


@pytest.fixture
def workers(office: Office, log: Path) -> Iterator[Workers]:
    webhook = office.workflows.activate("slow", lambda execution: None)
    made = Workers(office, webhook, log)
    yield made
    made.kill()


@pytest.mark.parametrize("first_answers", ["at once", "after the second", "never"])
def test_a_job_posted_twice_is_one_job_and_its_first_answer_counts(
    office: Office, workers: Workers, first_answers: str
) -> None:
    def die(execution: Execution) -> None:
        """The webhook has the request, and the worker dies before it hears so."""
        if first_answers == "at once":
            execution.call_back({"ok": True, "value": 1})
        workers.kill()

    office.workflows.before = die
    workers.start()
    pipeline = Pipeline("delegated", n8n(workers.environment["N8N_WEBHOOK"], into=int))
    run = pipeline.start(0)
    eventually(lambda: office.workflows.executions, 20, lambda: workers.log.read_text()[-2000:])
    office.workflows.before = lambda execution: None
    eventually(lambda: all(process.poll() is not None for process in workers.started))
    workers.start()
    eventually(
        lambda: len(office.workflows.executions) == 2,
        30,
        lambda: workers.log.read_text()[-2000:],
    )
    first, second = office.workflows.executions
    for header in ("idempotency-key", "x-callboard-run"):
        assert first.headers[header] == second.headers[header]
    assert first.body == second.body
    if first_answers == "at once":
        assert second.call_back({"ok": True, "value": 2})[0] == 409
        assert run.result("10s") == 1
    else:
        assert second.call_back({"ok": True, "value": 2})[0] == 200
        if first_answers == "after the second":
            assert first.call_back({"ok": True, "value": 1})[0] == 409
        assert run.result("10s") == 2
