"""When a failed attempt is tried again.

Owns: the policy and its table of delays. Must not: sleep, read a clock or own a random source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from engine.clock import Duration, duration_ms
from engine.errors import OptionInvalid
from engine.workflow.bounds import number, whole_number

MAX_ATTEMPTS = 1_000
"""Everything is bounded: a policy that never gives up would hide a fault for ever."""

ExceptionTypes = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how far apart a stage is tried.

    The delay before try n+1 is `base * factor**(n-1)`, at most `max`, then spread evenly by
    ±`jitter` (so a delay may exceed `max` by the jitter).

    Args:
        attempts: total tries, the first included; 1 means no retry.
        base: delay before the second try.
        factor: growth from delay to delay, 1 or more; 1 keeps it fixed.
        max: cap of a delay before jitter.
        jitter: share by which a delay is spread, 0 to 1.
        on: exceptions worth another try.
        give_up_on: exceptions that are final even if `on` covers them.
    """

    attempts: int = 5
    base: Duration = "5s"
    factor: float = 2
    max: Duration = "300s"
    jitter: float = 0.25
    on: ExceptionTypes = (Exception,)
    give_up_on: ExceptionTypes = ()
    base_ms: int = field(init=False)
    max_ms: int = field(init=False)

    def __post_init__(self) -> None:
        whole_number("attempts", self.attempts, 1, MAX_ATTEMPTS)
        number("factor", self.factor, 1, 1_000)
        number("jitter", self.jitter, 0, 1)
        object.__setattr__(self, "base_ms", duration_ms(self.base, name="base"))
        object.__setattr__(self, "max_ms", duration_ms(self.max, name="max"))
        object.__setattr__(self, "on", _exception_types("on", self.on))
        object.__setattr__(self, "give_up_on", _exception_types("give_up_on", self.give_up_on))

    def covers(self, error: BaseException) -> bool:
        """Say whether the policy tries again after this error, attempts left aside."""
        return isinstance(error, self.on) and not isinstance(error, self.give_up_on)

    def delay_ms(self, failed_attempts: int, random: Callable[[], float]) -> int | None:
        """Return the delay before the next try, or None when no try is left.

        Args:
            failed_attempts: how many tries have failed, 1 or more.
            random: returns a number in [0, 1), such as `random.Random().random`.
        """
        if failed_attempts >= self.attempts:
            return None
        delay = self._plain_delay_ms(failed_attempts)
        return round(delay * (1 + self.jitter * (2 * random() - 1)))

    def table_ms(self) -> tuple[int, ...]:
        """Return all delays without jitter: `attempts - 1` numbers."""
        return tuple(self._plain_delay_ms(n) for n in range(1, self.attempts))

    def _plain_delay_ms(self, failed_attempts: int) -> int:
        try:
            grown = self.base_ms * float(self.factor) ** (failed_attempts - 1)
        except OverflowError:
            return self.max_ms
        return round(min(grown, self.max_ms))


def _exception_types(option: str, given: object) -> tuple[type[BaseException], ...]:
    types = cast("tuple[object, ...]", given if isinstance(given, tuple) else (given,))
    if not all(isinstance(one, type) and issubclass(one, BaseException) for one in types):
        raise OptionInvalid(option, given, "an exception class or a tuple of them")  # pyright: ignore[reportUnknownArgumentType]
    return cast("tuple[type[BaseException], ...]", types)
