"""The steps of a user's frame that bring rows together, and what dask knows of them without a run.

Covers: their classes; how many partitions a reduction makes; what each partition sends to it; rows of sources.
Does not cover: steps of each row (``expressions``), what they hold (``prepare.explain``).

dask's collections do not tell what they are made of, and ``npartitions`` of some of them computes data.
"""

from __future__ import annotations

from typing import Any

from dask.dataframe.dask_expr._concat import Concat
from dask.dataframe.dask_expr._expr import Drop, Head, Query, ResetIndex, Sample, Tail, ToFrame
from dask.dataframe.dask_expr._groupby import GroupByReduction
from dask.dataframe.dask_expr._reductions import ApplyConcatApply, DropDuplicates, Mode, Unique, ValueCounts
from dask.dataframe.dask_expr._repartition import Repartition
from dask.dataframe.dask_expr._shuffle import SetIndex, ShuffleBase, SortValues

__all__ = [
    "ApplyConcatApply",  # a reduction: partitions are reduced, and the results together
    "Concat",  # rows of several frames
    "Drop",  # columns left out
    "DropDuplicates",  # gathered, or shuffled, by all columns or some
    "GroupByReduction",  # means and variances of groups, which are no aggregations to dask
    "Head",  # so many rows
    "Mode",  # counts of all values in one place
    "Query",  # rows left out
    "Repartition",  # fewer partitions have more rows
    "ResetIndex",  # the index among the columns
    "Sample",  # rows left out
    "SetIndex",  # rows sorted
    "ShuffleBase",  # rows of a key in one place
    "SortValues",  # rows sorted
    "Tail",  # so many rows
    "ToFrame",  # a column as a frame
    "Unique",  # values in one place
    "ValueCounts",  # counts of values in one place
    "broadcast_side",
    "chunk_meta",
    "computes_divisions",
    "pandas_source",
    "reduced_partitions",
    "source_lengths",
]


def reduced_partitions(node: Any) -> int | None:
    """Return how many partitions a reduction makes when it runs; None for as many as it takes."""
    # dask's optimiser splits results of groups that nobody has said a number for.
    tuned = node._tune_down()
    tuned = node if tuned is None else tuned  # an expression has no truth value
    if not tuned.should_shuffle:
        return 1
    return None if tuned.split_out is True else int(tuned.split_out)


def chunk_meta(node: Any) -> Any | None:
    """Return an empty example of what each partition sends to a reduction; None where dask does not tell."""
    try:
        return node._meta_chunk
    except Exception:  # noqa: BLE001  # a user's function, or a node that is another one until it is lowered
        return None


def computes_divisions(node: Any) -> bool:
    """Whether dask computes data when it is asked for a node's divisions, those of what is below it aside."""
    if isinstance(node, (SetIndex, SortValues)):
        return "user_divisions" not in node._parameters or node.operand("user_divisions") is None
    return isinstance(node, Repartition) and node.operand("partition_size") is not None


def source_lengths(leaf: Any) -> tuple[tuple[int, ...], bool] | None:
    """Return the rows of each partition of a source, and whether a filter leaves some out; None if it does not say."""
    if not hasattr(leaf, "_get_lengths"):
        return None
    filtered = "filters" in leaf._parameters and bool(leaf.operand("filters"))
    lengths = (leaf.substitute_parameters({"filters": None}) if filtered else leaf)._get_lengths()
    return None if lengths is None else (tuple(map(int, lengths)), filtered)


def pandas_source(leaf: Any) -> Any:
    """Return the pandas frame that a source is made of."""
    return leaf.frame._data


def broadcast_side(merge: Any) -> str | None:
    """Return which side of a merge each task takes whole: ``"left"``, ``"right"``, or None for neither."""
    if merge._is_single_partition_broadcast or merge.is_broadcast_join:
        side: str = merge.broadcast_side
        return side
    return None
