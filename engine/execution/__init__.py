"""Running stages in Dramatiq's worker: a stage's actor, an attempt, its deadline and verdict."""

from engine.execution.actor import StageActor
from engine.execution.runner import Runner

__all__ = ["Runner", "StageActor"]
