"""Callboard's own middleware, one concern a file, and their order in one list."""

from engine.middleware.batching import Batching
from engine.middleware.order import ours

__all__ = ["Batching", "ours"]
