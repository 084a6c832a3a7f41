"""A stage's Dramatiq actor: runs an attempt when a worker calls it, starts a run when sent to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from dramatiq import Actor, Broker

from engine.execution.runner import Runner
from engine.workflow.attempt import Attempt
from engine.workflow.stage import Stage

# Only the stage's own policy speaks: Dramatiq's retries and time limit stand aside.
_OPTIONS: dict[str, Any] = {"max_retries": 0, "time_limit": float("inf")}
_PRIORITY = 5


class StageActor(Actor[..., Any]):
    """Binds one stage to one engine's broker."""

    def __init__(self, stage: Stage[..., Any], broker: Broker, runner: Runner) -> None:
        self.stage = stage
        self._runner = runner
        broker.actors.pop(stage.name, None)  # a stage defined anew replaces the old one
        options = {name: value for name, value in _OPTIONS.items() if name in broker.actor_options}
        super().__init__(
            stage.fn,
            broker=broker,
            actor_name=stage.name,
            queue_name=stage.queue,
            # Dramatiq's lower is sooner; ours is the other way round.
            priority=_PRIORITY - (stage.priority if stage.priority is not None else _PRIORITY),
            options=options,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and type(args[0]) is Attempt:
            # None to Dramatiq: the value is in the outcome.
            return self._runner.run(self.stage, args[0])
        return self.stage.fn(*args, **kwargs)

    def send_with_options(
        self,
        *,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        delay: timedelta | int | None = None,
        **options: Any,
    ) -> Any:
        """Starts a run of the stage; `options` are those of `Stage.send`."""
        return self.stage.send(*args, **(kwargs or {}), delay=delay, **options)


class BuiltInActor:
    """What a worker calls for a built-in stage; it stands on every queue, so it declares none."""

    queue_name = "default"
    priority = 0

    def __init__(self, name: str, broker: Broker, act: Callable[[Attempt], None]) -> None:
        self.actor_name = name
        self.broker = broker
        self.options = dict(_OPTIONS)
        self._act = act

    def __call__(self, attempt: Attempt) -> None:
        self._act(attempt)
