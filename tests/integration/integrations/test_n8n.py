"""A step of a pipeline done by a workflow in n8n: over real HTTP, with the answers it may give."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from engine import Context, Pipeline, Retry, Settled, choose, each, gather, stage
from engine.integrations.errors import HttpRejected
from engine.integrations.n8n import n8n
from engine.store.letters import Letter
from engine.workflow.run import RunState
from tests.chaos.eventually import eventually
from tests.integration.integrations.conftest import Office
from tests.integration.integrations.workflows import Execution, post

SOON = Retry(attempts=3, base="20ms", jitter=0, give_up_on=(HttpRejected,))


def double(execution: Execution) -> None:
    execution.call_back({"ok": True, "value": execution.body["inputData"] * 2})


def refuse(execution: Execution) -> None:
    execution.call_back({"ok": False, "error": "the lead has no address"})


def keep(execution: Execution) -> None:
    """A workflow that answers when the test says so."""


def told(letter: Letter) -> str:
    return letter.story.decode()


def answered(execution: Execution, times: int = 1) -> list[int]:
    """The statuses of an execution's callbacks, once all are known: the run may be quicker."""
    eventually(lambda: len(execution.answers) >= times)
    return [status for status, _ in execution.answers]


def test_the_answer_of_a_workflow_flows_on(office: Office) -> None:
    @stage
    def prepare(number: int) -> int:
        return number + 1

    @stage
    def use(number: int) -> str:
        return f"got {number}"

    webhook = office.workflows.activate("double", double)
    run = office.start(Pipeline("lead", prepare | n8n(webhook, into=int) | use), 4, tenant="acme")
    assert run.result("10s") == "got 10"
    [execution] = office.workflows.executions
    assert answered(execution) == [200]
    job = f"n8n-{run.id}-2"
    body = dict(execution.body)
    assert body.pop("callbackUrl").startswith(f"{office.desk.url}/callbacks/")
    assert body == {
        "workflowId": "double",
        "jobId": job,
        "runId": run.id,
        "tenantId": "acme",
        "inputData": 5,
        "callbackJobId": f"{job}-callback",
    }
    assert execution.headers["idempotency-key"] == job
    assert execution.headers["x-callboard-run"] == run.id
    assert execution.headers["x-callboard-tenant"] == "acme"
    posted = next(s for s in run.view().stages if s.stage == "n8n.double")
    assert (posted.state, posted.attempts) == ("done", 1)


def test_an_error_of_a_workflow_fails_the_run_and_is_not_tried_again(office: Office) -> None:
    webhook = office.workflows.activate("check", refuse)
    run = office.start(Pipeline("lead", n8n(webhook)), 1)
    assert run.wait("10s") is RunState.FAILED
    [letter] = office.letters()
    assert letter.reason == "n8n_failed"
    assert "N8nFailed" in told(letter)
    assert "the lead has no address" in told(letter)
    assert office.workflows.requests == 1
    assert answered(office.workflows.executions[0]) == [200]


def test_an_error_of_a_workflow_can_take_a_route_of_its_own(office: Office) -> None:
    def how(answer: Settled[int]) -> str:
        return "well" if answer.ok else "badly"

    @stage
    def use(answer: Settled[int]) -> str:
        return f"got {answer.value}"

    @stage
    def mend(answer: Settled[int]) -> str:
        assert answer.error
        return f"{answer.error.type}: {answer.error.message}"

    def workflow(execution: Execution) -> None:
        (double if execution.body["inputData"] > 0 else refuse)(execution)

    webhook = office.workflows.activate("check", workflow)
    step = n8n(webhook, into=Settled[int])
    pipeline = Pipeline("lead", step | choose(how, {"well": use, "badly": mend}))
    assert office.start(pipeline, 2).result("10s") == "got 4"
    assert office.start(pipeline, 0).result("10s") == "N8nFailed: the lead has no address"
    assert office.letters() == []


def test_an_error_is_caught_by_a_group_that_goes_on_without_it(office: Office) -> None:
    bad = n8n(office.workflows.activate("bad", refuse), into=int)
    good = n8n(office.workflows.activate("good", double), into=int)
    run = office.start(Pipeline("lead", gather(bad, good, need="ended")), 2)
    first, second = run.result("10s")
    assert (first["ok"], first["error"]["type"]) == (False, "N8nFailed")
    assert (second["ok"], second["value"]) == (True, 4)


def test_a_workflow_that_answers_before_the_webhook_does_has_answered(office: Office) -> None:
    office.workflows.before = double
    webhook = office.workflows.activate("quick", keep)
    run = office.start(Pipeline("lead", n8n(webhook, into=int)), 4)
    assert run.result("10s") == 8
    assert answered(office.workflows.executions[0]) == [200]


def test_the_first_of_two_answers_counts(office: Office) -> None:
    def twice(execution: Execution) -> None:
        execution.call_back({"ok": True, "value": "first"})
        execution.call_back({"ok": True, "value": "second"})
        execution.call_back({"ok": False, "error": "third"})

    webhook = office.workflows.activate("twice", twice)
    run = office.start(Pipeline("lead", n8n(webhook)), 1)
    assert run.result("10s") == "first"
    [execution] = office.workflows.executions
    assert answered(execution, 3) == [200, 409, 409]
    assert execution.answers[1][1]["code"] == "callback_repeated"


def test_an_answer_after_the_timeout_is_refused_though_the_run_lives(office: Office) -> None:
    @stage
    def instead(job: dict[str, str]) -> str:
        return f"nobody answered: {job['status']}"

    @stage
    def linger(text: str) -> str:
        assert released.wait(10)
        return text

    released = threading.Event()
    step = n8n(
        office.workflows.activate("slow", keep), into=str, timeout="100ms", otherwise=instead
    )
    run = office.start(Pipeline("lead", step | linger), 1)
    eventually(lambda: any(s.stage == "instead" for s in run.view().stages))
    [execution] = office.workflows.executions
    status, told = execution.call_back({"ok": True, "value": "late"})
    assert (status, told["code"]) == (410, "callback_late")
    assert run.status() is RunState.RUNNING
    released.set()
    assert run.result("10s") == "nobody answered: delegated"
    assert execution.call_back({"ok": True, "value": "later"})[0] == 410


def test_a_workflow_that_never_answers_fails_the_run_at_the_timeout(office: Office) -> None:
    webhook = office.workflows.activate("slow", keep)
    run = office.start(Pipeline("lead", n8n(webhook, timeout="100ms")), 1)
    assert run.wait("10s") is RunState.FAILED
    [letter] = office.letters()
    assert letter.reason == "wait_timed_out"
    assert office.workflows.executions[0].call_back({"ok": True})[0] == 410


def test_each_item_gets_the_answer_of_its_own_execution(office: Office) -> None:
    webhook = office.workflows.activate("double", keep)
    pipeline = Pipeline("leads", each(n8n(webhook, into=int), window=5))
    run = office.start(pipeline, [1, 2, 3, 4, 5])
    eventually(lambda: len(office.workflows.executions) == 5)
    for execution in sorted(
        office.workflows.executions, key=lambda e: e.body["inputData"], reverse=True
    ):
        double(execution)
    assert run.result("10s") == [2, 4, 6, 8, 10]
    jobs = {execution.body["jobId"] for execution in office.workflows.executions}
    assert len(jobs) == 5


def test_delegations_in_a_row_and_side_by_side_do_not_take_each_others_answers(
    office: Office,
) -> None:
    def tell(execution: Execution) -> None:
        execution.call_back({"ok": True, "value": [execution.path, execution.body["inputData"]]})

    one, two, three = (
        n8n(office.workflows.activate(path, tell)) for path in ("one", "two", "three")
    )
    run = office.start(Pipeline("lead", one | (two & three)), 0)
    assert run.result("10s") == [["two", ["one", 0]], ["three", ["one", 0]]]


def test_a_busy_server_is_asked_again_as_the_same_job(office: Office) -> None:
    office.workflows.refuse = [(503, {}), (429, {"Retry-After": "0"})]
    webhook = office.workflows.activate("double", double)
    run = office.start(Pipeline("lead", n8n(webhook, into=int, retry=SOON)), 4)
    assert run.result("10s") == 8
    assert office.workflows.requests == 3
    assert len(office.workflows.executions) == 1


def test_a_server_says_when_it_wants_to_be_asked_again(office: Office) -> None:
    office.workflows.refuse = [(429, {"Retry-After": "1"})]
    webhook = office.workflows.activate("double", double)
    began = time.monotonic()
    run = office.start(Pipeline("lead", n8n(webhook, into=int, retry=SOON)), 4)
    assert run.result("10s") == 8
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 301])
def test_a_server_that_will_not_take_it_is_not_asked_again(office: Office, status: int) -> None:
    office.workflows.refuse = [(status, {"Location": f"{office.workflows.url}/webhook/double"})]
    webhook = office.workflows.activate("double", double)
    run = office.start(Pipeline("lead", n8n(webhook, retry=SOON)), 4)
    assert run.wait("10s") is RunState.FAILED
    [letter] = office.letters()
    assert letter.reason == "given_up"
    assert f"answered {status}" in told(letter)
    assert office.workflows.requests == 1


def test_a_workflow_that_was_not_active_is_asked_again_by_a_redrive(office: Office) -> None:
    run = office.start(Pipeline("lead", n8n(f"{office.workflows.url}/webhook/double", into=int)), 4)
    assert run.wait("10s") is RunState.FAILED
    office.workflows.activate("double", double)
    [letter] = office.engine.store.letters.newest("integration-tasks")
    office.engine.store.letters.redrive(letter)
    assert run.result("10s") == 8


def test_credentials_are_sent_and_never_written_down(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office.workflows.credentials = {"Authorization": "Bearer hunter2-hunter2"}
    webhook = office.workflows.activate("double", double)
    good = n8n(webhook, into=int, auth=lambda: {"Authorization": "Bearer hunter2-hunter2"})
    bad = n8n(webhook, name="bad", auth={"Authorization": "Bearer hunter3-hunter3"})
    assert office.start(Pipeline("good", good), 4).result("10s") == 8
    assert office.start(Pipeline("bad", bad), 4).wait("10s") is RunState.FAILED
    [execution] = office.workflows.executions
    token = execution.body["callbackUrl"].rpartition("/")[2]
    answered(execution)
    stored = office.stored()
    assert "delegated" in stored
    for secret in ("hunter2", "hunter3", token, token.rpartition(".")[2]):
        assert secret not in stored
        assert secret not in caplog.text


@pytest.mark.parametrize("office", [{"outbound_hosts": "n8n.example.com"}], indirect=True)
def test_a_host_that_is_not_listed_is_not_called(office: Office) -> None:
    webhook = office.workflows.activate("double", double)
    run = office.start(Pipeline("lead", n8n(webhook)), 4)
    assert run.wait("10s") is RunState.FAILED
    assert "outbound_hosts" in told(office.letters()[0])
    assert office.workflows.requests == 0


@pytest.mark.parametrize("office", [{"callback_base_url": None}], indirect=True)
def test_without_an_address_for_callbacks_nothing_is_sent(office: Office) -> None:
    webhook = office.workflows.activate("double", double)
    run = office.start(Pipeline("lead", n8n(webhook)), 4)
    assert run.wait("10s") is RunState.FAILED
    assert "callback_base_url" in told(office.letters()[0])
    assert office.workflows.requests == 0


def test_a_person_in_a_workflow_that_waits_decides(office: Office) -> None:
    def ask(execution: Execution) -> None:
        answer = execution.wait()  # a Wait node, resumed by a form that a person sends
        execution.call_back({"ok": True, "value": answer["approved"]})

    run = office.start(Pipeline("lead", n8n(office.workflows.activate("ask", ask))), "buy?")
    eventually(lambda: office.workflows.executions)
    url = f"{office.workflows.url}/webhook-waiting/{office.workflows.executions[0].id}"
    assert post(url, {"approved": "yes"})[0] == 200
    assert run.result("10s") == "yes"


def test_a_signal_stands_in_for_an_answer_and_the_answer_is_then_late(office: Office) -> None:
    run = office.start(Pipeline("lead", n8n(office.workflows.activate("slow", keep))), 1)
    eventually(lambda: any(s.stage == "n8n.slow" for s in run.view().stages))
    assert run.signal("n8n", "by hand")
    assert run.result("10s") == "by hand"
    assert office.workflows.executions[0].call_back({"ok": True})[0] == 410


def test_a_workflow_starts_a_pipeline_and_a_repeated_request_does_not(office: Office) -> None:
    @stage
    def add(number: int) -> int:
        return number + 1

    office.start(Pipeline("other", add), 0)
    Pipeline("adding", add)
    url = office.engine.callbacks.invite("adding", tenant="acme")
    status, first = post(url, 4, headers={"Idempotency-Key": "execution-17"})
    assert (status, first["status"]) == (202, "started")
    assert post(url, 4, headers={"Idempotency-Key": "execution-17"}) == (
        202,
        {"status": "duplicate", "runId": first["runId"]},
    )
    view = office.engine.view(first["runId"])
    assert (view.pipeline, view.tenant) == ("adding", "acme")
    eventually(lambda: office.engine.view(first["runId"]).state.ended)
    assert office.engine.result(first["runId"]) == b"5"
    assert post(url, "not a number")[0] == 400


def test_the_stage_that_asks_may_be_written_by_hand(office: Office) -> None:
    from engine import wait_for

    urls: list[str] = []

    @stage
    def ask(order: int, ctx: Context) -> int:
        urls.append(ctx.callback("approved", ttl="7d").url)
        return order

    @stage
    def ship(approved: bool) -> str:
        return f"shipped: {approved}"

    run = office.start(Pipeline("order", ask | wait_for("approved", bool) | ship), 17)
    eventually(lambda: urls)
    assert post(urls[0], {"ok": True, "value": True})[0] == 200
    assert run.result("10s") == "shipped: True"
