"""The pytest plugin: fixtures for tests of pipelines.

Owns: the fixtures `callboard` and `virtual_clock`, and the option `--callboard-seed`. Must not:
load the engine before a test asks for it; every test session of an installation imports this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engine.testing.clock import VirtualClock
    from engine.testing.inline import InlineEngine


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.getgroup("callboard").addoption(
        "--callboard-seed",
        type=int,
        default=None,
        help="shuffle the order in which the fixture `callboard` runs what is due",
    )


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """The time of the engine in `callboard`; it passes when told to, and then at once."""
    from engine.testing.clock import VirtualClock  # noqa: PLC0415

    return VirtualClock()


@pytest.fixture
def callboard(
    request: pytest.FixtureRequest, virtual_clock: VirtualClock
) -> Iterator[InlineEngine]:
    """An engine without a server, current for the test.

    It sees every definition of the process; those made in the test are forgotten after it.
    """
    from engine.testing.inline import InlineEngine  # noqa: PLC0415
    from engine.workflow import registry  # noqa: PLC0415

    seed = request.config.getoption("--callboard-seed")
    with (
        registry.isolated(registry.current().copy()),
        InlineEngine(clock=virtual_clock, seed=seed) as engine,
    ):
        yield engine
