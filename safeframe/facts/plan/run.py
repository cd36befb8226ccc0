"""What the engine runs, of every recipe.

A recipe's planner fills in one of these, and the engine matches on it: to add a
recipe is to add its class here, and mypy then names every place that has to
know of it.
"""

from __future__ import annotations

from typing import TypeAlias

from safeframe.facts.bag import BagRun
from safeframe.facts.distinct import CountRun, DistinctRun
from safeframe.facts.groupby import GroupRun
from safeframe.facts.lag import LagRun
from safeframe.facts.merge import MergeRun
from safeframe.facts.rebalance import RebalanceRun
from safeframe.facts.rechunk import RechunkRun
from safeframe.facts.sort import ShuffleRun, SortRun, UnsortedRun

Run: TypeAlias = (
    BagRun
    | CountRun
    | DistinctRun
    | GroupRun
    | LagRun
    | MergeRun
    | RebalanceRun
    | RechunkRun
    | ShuffleRun
    | SortRun
    | UnsortedRun
)
"""One class for each kind of run."""
