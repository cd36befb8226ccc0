"""A plan, and its text."""

from safeframe.facts.plan.plan import Plan
from safeframe.facts.step import Candidate, Cost, Step

__all__ = ["Candidate", "Cost", "Plan", "Step"]
