"""Declarative flows: pipelines written as YAML or JSON, compiled to the same plans.

Owns: reading, checking and translating documents, and the expressions in them. Must not: know the
store or Dramatiq. The languages and YAML come with the extra `callboard[flows]`; importing this
room loads none of them.
"""

from __future__ import annotations

from engine.flows.declared import Declared, load, problems_of
from engine.flows.scope import Recall, Scope, nothing_yet
from engine.flows.shapes import schema

__all__ = ["Declared", "Recall", "Scope", "load", "nothing_yet", "problems_of", "schema"]
