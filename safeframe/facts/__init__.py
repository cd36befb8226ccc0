"""Frozen data in which sizing, planning and execution speak to each other.

Covers: what is known (estimates, key statistics, frame profiles, budgets) and
what was decided (plans, shard layouts).
Does not cover: how a fact is gathered (``sizing``) or used (``planning``).
"""
