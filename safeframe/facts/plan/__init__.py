"""A plan, and its text."""

from safeframe.facts.plan.plan import Candidate, Plan, Step

__all__ = ["Candidate", "Plan", "Step"]
