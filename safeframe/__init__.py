"""Memory-safe dask dataframe recipes: the numbers before the run, and a plan that keeps to them."""

from safeframe.errors import (
    KeyNotFoundError,
    MemoryBudgetError,
    OutputExplosionWarning,
    OutputTooLargeError,
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
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import MergeEstimate
from safeframe.facts.plan import Plan
from safeframe.recipes.merge import explain, merge, plan_merge

__version__ = "0.1.0"

__all__ = [
    "Estimate",
    "FrameProfile",
    "KeyNotFoundError",
    "KeyStatistics",
    "MemoryBudgetError",
    "MergeEstimate",
    "OutputExplosionWarning",
    "OutputTooLargeError",
    "Plan",
    "RowConservationError",
    "SafeframeError",
    "SafeframeWarning",
    "SchemaMismatchError",
    "StagingError",
    "StagingFullError",
    "UnsupportedError",
    "ValidationError",
    "__version__",
    "explain",
    "merge",
    "plan_merge",
]
