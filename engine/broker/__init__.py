"""The Dramatiq broker: one pump and one beat a process, over the store's scripts."""

from engine.broker.broker import RedisBroker

__all__ = ["RedisBroker"]
