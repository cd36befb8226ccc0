"""Memory-safe dask dataframe recipes: the numbers before the run, and a plan that keeps to them."""

from safeframe import accessor as accessor
from safeframe import config as config
from safeframe.deploy.local_cluster import LocalCluster
from safeframe.deploy.tune import tune
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
from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import FrameEstimate, FrameProfile
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import MergeEstimate
from safeframe.facts.plan import Plan
from safeframe.recipes.bag_groupby import bag_groupby, plan_bag_groupby
from safeframe.recipes.explain import explain
from safeframe.recipes.groupby_lag_transform import groupby_lag_transform, plan_lag
from safeframe.recipes.merge import merge, plan_merge
from safeframe.recipes.p2p_shuffle import p2p_shuffle, plan_p2p_shuffle
from safeframe.recipes.rebalance import plan_rebalance, rebalance_partitions
from safeframe.recipes.rechunk import plan_rechunk, rechunk
from safeframe.recipes.set_index import plan_set_index, set_index
from safeframe.recipes.shuffle import plan_shuffle, shuffle
from safeframe.recipes.sort_values import plan_sort_values, sort_values
from safeframe.recipes.sorted_merge import plan_sorted_merge, sorted_merge
from safeframe.recipes.statistics import estimate, estimate_merge, key_statistics
from safeframe.recipes.to_parquet import to_parquet
from safeframe.report.measure import Measurement, measure

__version__ = "0.1.0"

__all__ = [
    "ClusterError",
    "Estimate",
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
    "estimate",
    "estimate_merge",
    "explain",
    "groupby_lag_transform",
    "key_statistics",
    "measure",
    "merge",
    "p2p_shuffle",
    "plan_bag_groupby",
    "plan_lag",
    "plan_merge",
    "plan_p2p_shuffle",
    "plan_rebalance",
    "plan_rechunk",
    "plan_set_index",
    "plan_shuffle",
    "plan_sort_values",
    "plan_sorted_merge",
    "rebalance_partitions",
    "rechunk",
    "set_index",
    "shuffle",
    "sort_values",
    "sorted_merge",
    "to_parquet",
    "tune",
]
