"""Definitions made in a test stay in the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import Context, Retry, current, stage
from engine.workflow import registry


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(current, "_place", current._Place())
    with registry.isolated():
        yield


@pytest.fixture
def parts(callboard) -> dict:
    """Stages that say what they received; `flaky` has three attempts, ten seconds apart."""

    @stage
    def first_part(x: int) -> int:
        return x + 1

    @stage(retry=Retry(attempts=3, base="10s", factor=1))
    def flaky(x: int) -> int:
        return x * 10

    @stage
    def take_back(x: int) -> None: ...

    @stage
    def total(xs: list) -> int:
        return sum(x for x in xs if x)

    @stage(retry=Retry(attempts=1))
    def refuses(x: int) -> int:
        raise RuntimeError("no")

    @stage
    def told(x: int, ctx: Context) -> dict:
        ctx.progress(1, 2)
        ctx.log.info("told")
        return {
            "run": ctx.run_id,
            "tenant": ctx.tenant,
            "attempt": ctx.attempt,
            "token": ctx.token,
            "stage": ctx.stage,
            "earlier": dict(ctx.outputs.items()) if "flaky" in ctx.outputs else None,
        }

    made = (first_part, flaky, take_back, total, told, refuses)
    return dict(zip(("first", "flaky", "undo", "total", "told", "refuses"), made, strict=True))
