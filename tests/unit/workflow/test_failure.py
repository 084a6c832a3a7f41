from __future__ import annotations

from pydantic import BaseModel, ValidationError

from engine.workflow.attempt import Attempt
from engine.workflow.failure import Failure
from engine.workflow.outcome import Cancelled, Dead, Snoozed

NUMBER = "4111-secret"


class Card(BaseModel):
    number: int


def raised(make) -> BaseException:
    try:
        make()
    except Exception as error:  # noqa: BLE001 - any of them
        return error
    raise AssertionError


def test_a_failure_keeps_type_message_and_where() -> None:
    failure = Failure.of(raised(lambda: int("x")))
    assert failure.type == "ValueError"
    assert "invalid literal" in failure.message
    assert "test_failure.py" in failure.traceback
    assert failure.traceback.endswith(failure.message)


def test_a_refused_value_is_in_no_part_even_as_a_cause() -> None:
    def wrapped() -> None:
        try:
            Card.model_validate({"number": NUMBER})
        except ValidationError as error:
            raise RuntimeError("no card") from error

    failure = Failure.of(raised(wrapped))
    assert "secret" not in failure.message + failure.traceback
    assert "number: int_parsing" in failure.traceback
    direct = Failure.of(raised(lambda: Card.model_validate({"number": NUMBER})))
    assert direct.message == "1 problems in Card: number: int_parsing"


def test_a_failure_is_bounded() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise ValueError("m" * 100_000)

    failure = Failure.of(raised(lambda: deep(200)))
    assert len(failure.message) == 2_000
    assert len(failure.traceback) <= 8_000


def test_a_broken_message_hides_nothing_else() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert Failure.of(Broken()).message == "(the message cannot be shown)"
    assert Failure.of(ValueError("\ud800")).message == "?"


def test_the_first_outcome_of_an_attempt_stays() -> None:
    attempt = Attempt("r", "t", "h", "s", "0", "q", 1, b"null", 1)
    assert attempt.settle(Snoozed(5))
    assert not attempt.settle(Cancelled())
    assert not attempt.settle(Dead("x", Failure("E", "")))
    assert attempt.outcome == Snoozed(5)
