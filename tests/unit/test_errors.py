from __future__ import annotations

import inspect
import pickle

import pytest

from engine import errors
from engine.errors import CallboardError, did_you_mean

CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, CallboardError)
]
SAMPLES = {
    "int": 7,
    "str": "x",
    "object": object,
    "Iterable[str]": ("x", "y"),
    "Sequence[Problem]": [errors.Problem("a.b", "missing")],
}


def sample(cls: type[CallboardError]) -> CallboardError:
    if cls.__init__ is Exception.__init__:
        return cls("x")
    parameters = inspect.signature(cls.__init__).parameters.values()
    given = [SAMPLES.get(str(p.annotation), "x") for p in parameters if p.name != "self"]
    return cls(*given)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(code == code.lower() and code.replace("_", "").isalpha() for code in codes)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling_with_its_facts(cls: type[CallboardError]) -> None:
    error = sample(cls)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert did_you_mean("Prase", ["parse", "close"]) == " Did you mean 'parse'?"
    assert did_you_mean("zzz", ["parse"]) == ""
    assert "Did you mean 'parse'?" in str(errors.UnknownStage("pars", ["parse"]))


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(str(errors.TenantInvalid("x" * 10_000))) < 300
