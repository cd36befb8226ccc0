"""What the engine runs, of every recipe.

A recipe's planner fills in one of these, and the engine matches on it: to add a
recipe is to add its class here, and mypy then names every place that has to
know of it.
"""

from __future__ import annotations

from typing import TypeAlias

from safeframe.facts.merge import MergeRun

__all__ = ["Run"]

Run: TypeAlias = MergeRun
"""One class for each kind of run."""
