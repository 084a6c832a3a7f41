"""A callback's token, and which wait a stage means by a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Context, Page, Pipeline, Settled, choose, each, repeat, sleep, stage, wait_for
from engine.errors import CallbackForged, ConfigurationError, NameInvalid, NoWaitAhead
from engine.workflow import token as tokens
from engine.workflow.callback import Callback, Claim, opened, sealed, wait_ahead
from engine.workflow.plan import Plan

SECRET = b"s" * 32
RUN = "01a201823b38700084c2cc7b148414a1"


@stage
def ask(value: object) -> object:
    return value


def place(flow: object, position: str, name: str = "go") -> str:
    return wait_ahead(Pipeline("asking", flow).plan(), position, name)[0]


def number_of(plan: Plan, kind: str, nth: int = 0) -> int:
    return [i for i, node in enumerate(plan.nodes) if type(node).__name__ == kind][nth]


# -- which wait


def test_the_next_wait_of_the_name_is_meant() -> None:
    flow = ask | wait_for("go") | ask | wait_for("other") | wait_for("go")
    plan = Pipeline("asking", flow).plan()
    waits = [str(i) for i, node in enumerate(plan.nodes) if type(node).__name__ == "WaitNode"]
    second = str(number_of(plan, "StageNode", 1))
    assert wait_ahead(plan, "0", "go")[0] == waits[0]
    assert wait_ahead(plan, second, "go")[0] == waits[2]
    assert wait_ahead(plan, second, "other")[0] == waits[1]


def test_each_branch_means_its_own_wait_else_the_one_behind_them() -> None:
    plan = Pipeline("asking", (ask | wait_for("go")) & (ask | wait_for("go"))).plan()
    stages = [number_of(plan, "StageNode", nth) for nth in (0, 1)]
    waits = [number_of(plan, "WaitNode", nth) for nth in (0, 1)]
    assert [wait_ahead(plan, str(i), "go")[0] for i in stages] == [str(i) for i in waits]
    plan = Pipeline("asked", (ask & ask) | wait_for("go")).plan()
    stages = [number_of(plan, "StageNode", nth) for nth in (0, 1)]
    assert {wait_ahead(plan, str(i), "go")[0] for i in stages} == {str(number_of(plan, "WaitNode"))}


def test_a_wait_beside_the_stage_is_meant_if_it_is_the_only_one() -> None:
    plan = Pipeline("asking", wait_for("go") & ask).plan()
    asking, wait = number_of(plan, "StageNode"), number_of(plan, "WaitNode")
    assert wait < asking
    assert wait_ahead(plan, str(asking), "go")[0] == str(wait)


def test_an_item_and_a_round_mean_their_own() -> None:
    plan = Pipeline("asking", each(ask | wait_for("go"))).plan()
    asking, wait = number_of(plan, "StageNode"), number_of(plan, "WaitNode")
    assert wait_ahead(plan, f"{asking}.7", "go")[0] == f"{wait}.7"

    def enough(value: object) -> bool:
        return bool(value)

    plan = Pipeline("rounds", each(repeat(ask | wait_for("go"), until=enough))).plan()
    asking, wait = number_of(plan, "StageNode"), number_of(plan, "WaitNode")
    assert wait_ahead(plan, f"{asking}.7.2", "go")[0] == f"{wait}.7.2"


@pytest.mark.parametrize(
    "flow",
    [
        ask | each(ask | wait_for("go")),  # which item?
        each(ask) | wait_for("go"),  # of all items one
        each(ask) | each(ask | wait_for("go")),  # items of another list
        ask | sleep("1s"),
        ask,
    ],
)
def test_a_wait_of_other_items_or_none_is_an_error(flow: object) -> None:
    plan = Pipeline("asking", flow).plan()
    at = number_of(plan, "StageNode")
    index = ".3" if type(plan.nodes[0]).__name__ == "EachNode" else ""
    with pytest.raises(NoWaitAhead, match="No wait_for"):
        wait_ahead(plan, f"{at}{index}", "go")


def test_who_undoes_or_reads_pages_has_no_wait() -> None:
    @stage
    def pages(mark: int) -> Page[int, int]:
        return Page([], None)

    @stage
    def back(value: object) -> None: ...

    plan = Pipeline("pages", each(ask | wait_for("go"), pages=pages)).plan()
    with pytest.raises(NoWaitAhead, match="pages"):
        wait_ahead(plan, f"{number_of(plan, 'PagesNode')}.0", "go")
    plan = Pipeline("undoing", ask.undo(back) | wait_for("go")).plan()
    assert wait_ahead(plan, "0", "go")
    with pytest.raises(NoWaitAhead):
        wait_ahead(plan, "~0", "go")


def test_a_misspelt_wait_is_told_with_the_nearest() -> None:
    with pytest.raises(NoWaitAhead, match="Did you mean 'approved'"):
        place(ask | wait_for("approved"), "0", "aproved")


def test_the_cases_of_a_choose_are_told_apart_by_their_names() -> None:
    def how(value: object) -> str:
        return "a"

    flow = ask | choose(how, {"a": wait_for("first"), "b": wait_for("second")})
    plan = Pipeline("asking", flow).plan()
    assert wait_ahead(plan, "0", "first")[0] != wait_ahead(plan, "0", "second")[0]


@pytest.mark.parametrize(
    ("into", "settles"), [(Settled, True), (Settled[int], True), (int, False), (object, False)]
)
def test_a_wait_for_settled_takes_failures_as_values(into: object, settles: bool) -> None:
    plan = Pipeline("asking", ask | wait_for("go", into)).plan()
    assert wait_ahead(plan, "0", "go")[1].settles is settles
    assert (b"settles" in plan.to_json()) is settles


# -- the token


@given(
    st.builds(
        Claim,
        run_id=st.text(max_size=40),
        position=st.text(max_size=20),
        settles=st.booleans(),
        reason=st.text(max_size=40),
        expires_at_ms=st.integers(0, 2**53),
    )
)
def test_a_token_says_what_was_sealed_and_is_fit_for_an_address(claim: Claim) -> None:
    token = sealed(claim, SECRET, "cb")
    assert opened(token, SECRET, "cb") == claim
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.text(max_size=200))
def test_no_other_text_is_a_token(text: str) -> None:
    with pytest.raises(CallbackForged):
        opened(text, SECRET, "cb")


def test_a_token_is_good_for_its_purpose_namespace_and_secret_alone() -> None:
    token = tokens.sealed("callback", b"[]", SECRET, "cb")
    assert tokens.opened("callback", token, SECRET, "cb") == b"[]"
    for purpose, secret, namespace in (
        ("invitation", SECRET, "cb"),
        ("callback", b"t" * 32, "cb"),
        ("callback", SECRET, "cb2"),
    ):
        with pytest.raises(CallbackForged):
            tokens.opened(purpose, token, secret, namespace)
    with pytest.raises(CallbackForged):
        opened(token, SECRET, "cb")  # sealed, but no claim


def test_a_callback_has_an_address_where_there_is_a_base() -> None:
    assert Callback("i", "t", "https://x.test/in/").url == "https://x.test/in/callbacks/t"
    with pytest.raises(ConfigurationError, match="CALLBOARD_CALLBACK_BASE_URL"):
        _ = Callback("i", "t").url
    assert "secret" not in repr(Callback("i", "secret", "https://x.test"))


def test_the_id_of_a_callback_is_that_of_its_wait() -> None:
    claims = [Claim(RUN, "4.7", expires_at_ms=at) for at in (0, 1)]
    assert {claim.id for claim in claims} == {f"{RUN}-4.7"}


def test_a_context_made_by_hand_gives_callbacks_that_lead_nowhere() -> None:
    assert Context(RUN).callback("go").url.startswith("http://test.invalid/")
    with pytest.raises(NameInvalid):
        Context(RUN).callback("go", reason="not a word")
