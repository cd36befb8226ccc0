"""What ``strategy=`` may be, for each recipe that has one: literals for type checkers, and the names in their order.

A recipe tries its strategies in the order in which they are written here.
"""

from __future__ import annotations

from typing import Literal, get_args

MergeStrategy = Literal["sorted", "broadcast", "sorted-one-side", "staged", "p2p"]
"""Of a merge."""
OrderedStrategy = Literal["sorted", "sorted-one-side", "staged"]
"""Of a merge whose result is in the order of its keys."""
SortStrategy = Literal["sorted", "staged", "p2p"]
"""Of a sort, and of an index."""
ShuffleStrategy = Literal["staged", "p2p"]
"""Of a shuffle."""
LagStrategy = Literal["whole", "halo", "staged", "p2p"]
"""Of lag features."""
GroupStrategy = Literal["whole", "tree", "staged", "ordered", "p2p"]
"""Of a group-by."""
DistinctStrategy = Literal["whole", "tree", "staged"]
"""Of distinct keys."""
RebalanceStrategy = Literal["untouched", "merged", "sliced", "staged"]
"""Of balancing partitions."""
WriteStrategy = Literal["rows", "blocks"]
"""Of writing parquet."""

MERGE_STRATEGIES: tuple[str, ...] = get_args(MergeStrategy)
ORDERED_STRATEGIES: tuple[str, ...] = get_args(OrderedStrategy)
SORT_STRATEGIES: tuple[str, ...] = get_args(SortStrategy)
SHUFFLE_STRATEGIES: tuple[str, ...] = get_args(ShuffleStrategy)
LAG_STRATEGIES: tuple[str, ...] = get_args(LagStrategy)
GROUP_STRATEGIES: tuple[str, ...] = get_args(GroupStrategy)
DISTINCT_STRATEGIES: tuple[str, ...] = get_args(DistinctStrategy)
WRITE_STRATEGIES: tuple[str, ...] = get_args(WriteStrategy)
