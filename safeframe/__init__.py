"""Memory-safe dask dataframe recipes: the numbers before the run, and a plan that keeps to them.

Where things are, from the top down. A module imports from its own layer and those below it:

- ``cli``, ``accessor``: the ``safeframe`` command; ``ddf.safe``
- ``recipes``: the public functions, one module each: arguments → facts → plan → collection
- ``prepare``: what a recipe does before it plans: checks of arguments, keys and rows
- ``report``, ``deploy``: measured memory; clusters of small workers and ``doctor``
- ``engine``: expressions and tasks that run a plan on dask; ``engine.storage`` writes and deletes staged files
- ``planning``: facts in, plan out; ``planning.ladder`` chooses the strategy, ``planning.memory`` has the formulas
- ``sizing``: gathers facts about the cluster, the machine, frames and their keys
- ``kernels``: pandas, Arrow and numpy in and out, without dask
- ``facts``: frozen data that the layers exchange, such as ``Plan`` and ``KeyStatistics``
- ``_dask``: the only place with private names of dask and distributed
- ``options``, ``errors``, ``units``, ``choices``, ``distribution``: thresholds with their reasons, errors, formats, checks,
  the name that is installed

A concept (``merge``, ``sort``, ``lag``, ``parquet``, …) has a module or a folder of the same name in each layer.
CONTRIBUTING.md has a table of the questions that come up most, and the steps to add a recipe.
"""

from safeframe import accessor as accessor
from safeframe import config as config
from safeframe.deploy.doctor import DoctorReport, doctor
from safeframe.deploy.local_cluster import LocalCluster
from safeframe.deploy.tune import tune
from safeframe.distribution import warn_of_foreign_distribution
from safeframe.errors import (
    ClusterError,
    KeyNotFoundError,
    MemoryBudgetError,
    OutputExplosionWarning,
    OutputTooLargeError,
    PartitionSizeWarning,
    RoundedIntegersWarning,
    RowConservationError,
    SafeframeError,
    SafeframeWarning,
    SchemaMismatchError,
    StagingError,
    StagingFullError,
    UnsupportedError,
    ValidationError,
)
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.estimate import Estimate
from safeframe.facts.explanation import Explanation, Finding
from safeframe.facts.frame import FrameEstimate, FrameProfile
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import MergeEstimate
from safeframe.facts.plan import Plan
from safeframe.recipes.bag_groupby import bag_groupby, plan_bag_groupby
from safeframe.recipes.drop_duplicates import drop_duplicates, plan_drop_duplicates
from safeframe.recipes.duplicated import duplicated, plan_duplicated
from safeframe.recipes.explain import explain
from safeframe.recipes.groupby import groupby, plan_groupby
from safeframe.recipes.groupby_lag_transform import groupby_lag_transform, plan_lag
from safeframe.recipes.merge import merge, plan_merge
from safeframe.recipes.nunique import nunique, plan_nunique
from safeframe.recipes.p2p_shuffle import p2p_shuffle, plan_p2p_shuffle
from safeframe.recipes.rebalance import plan_rebalance, rebalance_partitions
from safeframe.recipes.rechunk import plan_rechunk, rechunk
from safeframe.recipes.set_index import plan_set_index, set_index
from safeframe.recipes.shuffle import plan_shuffle, shuffle
from safeframe.recipes.sort_values import plan_sort_values, sort_values
from safeframe.recipes.sorted_merge import plan_sorted_merge, sorted_merge
from safeframe.recipes.statistics import estimate, estimate_merge, key_statistics
from safeframe.recipes.to_parquet import to_parquet
from safeframe.recipes.unique import plan_unique, unique
from safeframe.recipes.value_counts import plan_value_counts, value_counts
from safeframe.report.measure import Measurement, measure

__version__ = "0.1.0"

__all__ = [
    "ClusterError",
    "ClusterSpec",
    "DoctorReport",
    "Estimate",
    "Explanation",
    "Finding",
    "FrameEstimate",
    "FrameProfile",
    "KeyNotFoundError",
    "KeyStatistics",
    "LocalCluster",
    "Measurement",
    "MemoryBudgetError",
    "MergeEstimate",
    "OutputExplosionWarning",
    "OutputTooLargeError",
    "PartitionSizeWarning",
    "Plan",
    "RoundedIntegersWarning",
    "RowConservationError",
    "SafeframeError",
    "SafeframeWarning",
    "SchemaMismatchError",
    "StagingError",
    "StagingFullError",
    "UnsupportedError",
    "ValidationError",
    "__version__",
    "bag_groupby",
    "doctor",
    "drop_duplicates",
    "duplicated",
    "estimate",
    "estimate_merge",
    "explain",
    "groupby",
    "groupby_lag_transform",
    "key_statistics",
    "measure",
    "merge",
    "nunique",
    "p2p_shuffle",
    "plan_bag_groupby",
    "plan_drop_duplicates",
    "plan_duplicated",
    "plan_groupby",
    "plan_lag",
    "plan_merge",
    "plan_nunique",
    "plan_p2p_shuffle",
    "plan_rebalance",
    "plan_rechunk",
    "plan_set_index",
    "plan_shuffle",
    "plan_sort_values",
    "plan_sorted_merge",
    "plan_unique",
    "plan_value_counts",
    "rebalance_partitions",
    "rechunk",
    "set_index",
    "shuffle",
    "sort_values",
    "sorted_merge",
    "to_parquet",
    "tune",
    "unique",
    "value_counts",
]

warn_of_foreign_distribution()
