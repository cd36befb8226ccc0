"""The classes of dask's dataframe expressions: which we derive from, and which we know in a user's frame.

Covers: the classes, and by which of them dask means what in pandas.
Does not cover: functions on expressions of any class (``trees``), parquet sources (``parquet``).

dask keeps ``dask.dataframe.api`` for libraries; it has ``new_collection``, and no class
of an expression but ``ApplyConcatApply``. Each name has a note on what it is needed for.
"""

from __future__ import annotations

from dask.dataframe.dask_expr import _expr, _groupby, _reductions
from dask.dataframe.dask_expr._accessor import FunctionMap, PropertyMap
from dask.dataframe.dask_expr._expr import (
    And,
    Assign,
    AsType,
    Binop,
    Blockwise,
    Elemwise,
    Expr,
    Fillna,
    Filter,
    Fused,
    Index,
    Isin,
    Literal,
    Map,
    Partitions,
    PartitionsFiltered,
    Projection,
    RenameFrame,
    RenameSeries,
    UFuncElemwise,
    Unaryop,
    determine_column_projection,
    is_filter_pushdown_available,
)
from dask.dataframe.dask_expr._expr import _DelayedExpr as DelayedExpr
from dask.dataframe.dask_expr._groupby import GroupbyAggregation, GroupByApply, GroupByApplyConcatApply
from dask.dataframe.dask_expr._merge import Merge
from dask.dataframe.dask_expr._reductions import Len
from dask.dataframe.dask_expr._shuffle import BaseSetIndexSortValues
from dask.dataframe.dask_expr.io.io import BlockwiseIO, FromGraph, FromPandas
from dask.dataframe.utils import strip_unknown_categories

__all__ = [
    "Accessed",  # in a frame: .dt and .str of a row's value
    "And",  # in a filter: its parts are tested, and passed, one by one
    "AsType",  # in a frame: a function of each row
    "Assign",  # in a frame: columns made of a row's others
    "BaseSetIndexSortValues",  # in a frame: cuts that change with the columns that are read
    "Binop",  # in a frame: a function of each row
    "Blockwise",  # derived from: one task for each partition, which dask fuses; map_partitions cannot be culled
    "BlockwiseIO",  # derived from: output partitions are a source, which dask fuses with what takes them
    "DelayedExpr",  # in a filter: the values of isin
    "Elemwise",  # derived from: filters and projections pass by it
    "Expr",  # derived from: tasks by hand, lowered when dask lowers the rest
    "Fillna",  # in a frame: a function of each row
    "Filter",  # pushed below a merge
    "FromGraph",  # in a frame: partitions that were persisted, which need not be staged again
    "FromPandas",  # in a frame: rows that are in memory
    "Fused",  # derived from: output partitions with the step that takes them, which dask does not fuse in compute
    "GroupByApply",  # above a merge: groups that are whole in a partition need no shuffle
    "GroupByApplyConcatApply",  # the same, of aggregations with split_out
    "GroupbyAggregation",  # above a merge: computed of its keys' counts, without its rows
    "Index",  # above a merge: what len() asks for
    "Isin",  # in a filter: passed to the side of its column
    "Len",  # above a merge: known without its rows
    "Literal",  # the answer to that
    "Map",  # in a filter: passed to the side of its column
    "Merge",  # derived from: dask pushes projections and filters below it
    "Partitions",  # above output partitions: they are selected, and not what comes before an exchange
    "PartitionsFiltered",  # derived from: partitions can be selected
    "Projection",  # above and below a merge: only columns that are needed are staged
    "RenameFrame",  # in a frame: other names of the same columns
    "RenameSeries",  # in a frame: another name of the same values
    "UFuncElemwise",  # in a frame: numpy's function of each row
    "Unaryop",  # in a frame: a function of each row
    "determine_column_projection",  # which columns all that takes a node needs; only dask's optimiser knows
    "groupby_reductions",  # above a merge: classes that are not exported, by name
    "is_filter_pushdown_available",  # whether all that takes a node filters it in the same way
    "reductions",  # above a merge: as groupby_reductions
    "row_filters",  # in a frame: as row_steps, and leave rows out
    "row_functions",  # in a frame: functions of each row
    "row_steps",  # in a frame: steps that can be taken for some rows of a partition at a time
    "strip_unknown_categories",  # frees a frame without rows of dask's mark; only dask's concat does it else
]


def groupby_reductions() -> dict[type, str]:
    """Return dask's aggregations of groups, each by the name that it has in pandas."""
    return {
        _groupby.Sum: "sum",
        _groupby.Count: "count",
        _groupby.Mean: "mean",
        _groupby.Min: "min",
        _groupby.Max: "max",
        _groupby.Size: "size",
    }


def reductions() -> dict[type, str]:
    """Return dask's reductions of columns, each by the name that it has in pandas."""
    return {
        _reductions.Sum: "sum",
        _reductions.Count: "count",
        _reductions.Mean: "mean",
        _reductions.Min: "min",
        _reductions.Max: "max",
    }


Accessed = (PropertyMap, FunctionMap)
"""What ``.dt`` and ``.str`` make of a series."""


def row_functions() -> tuple[type, ...]:
    """Return dask's functions of series whose every value is made of the same row's, but for arithmetic."""
    names = ("Abs", "Between", "Clip", "IsNa", "Mask", "NotNull", "Round", "Unaryop", "Where")
    return tuple(getattr(_expr, name) for name in names)


def row_steps() -> frozenset[type]:
    """Return dask's steps that make each row of the same row of what they take, and of nothing else.

    Arithmetic and comparisons are subclasses of ``Binop`` and ``Unaryop``. Of the other classes a subclass may
    do anything: they are compared by identity.
    """
    names = (
        *("Projection", "Assign", "AsType", "Fillna", "Isin", "Index", "RenameFrame", "ColumnsSetter", "RenameSeries"),
        *("ToFrame", "Drop", "Replace", "ArrowStringConversion", "ClearDivisions", "AddPrefix", "AddSuffix"),
        *("Abs", "Between", "Clip", "IsNa", "Mask", "NotNull", "Round", "Where"),
    )  # fmt: skip
    return frozenset({PropertyMap, FunctionMap, UFuncElemwise, *(getattr(_expr, name) for name in names)})


def row_filters() -> frozenset[type]:
    """Return dask's steps that leave out rows, each by what is in it."""
    return frozenset({Filter, _expr.DropnaFrame, _expr.DropnaSeries})
