"""The only door to names that dask does not promise to keep.

Covers: every private dask name that the engine uses, each with a contract test
in ``tests/contract``.
Does not cover: dask's public API, which modules import directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from dask._task_spec import convert_legacy_graph
from dask.array.rechunk import _balance_chunksizes as balanced_chunks
from dask.base import tokenize
from dask.dataframe.api import new_collection
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
from dask.task_spec import Alias, DataNode, List, Task, TaskRef
from distributed.shuffle._core import (
    P2PBarrierTask,
    ShuffleId,
    barrier_key,
    get_worker_plugin,
    handle_transfer_errors,
    p2p_barrier,
)
from distributed.shuffle._exceptions import P2POutOfDiskError
from distributed.shuffle._shuffle import DataFrameShuffleSpec, shuffle_unpack
from pyarrow.fs import LocalFileSystem

__all__ = [
    "Accessed",
    "Alias",
    "And",
    "AsType",
    "Assign",
    "BaseSetIndexSortValues",
    "Binop",
    "Blockwise",
    "BlockwiseIO",
    "DataFrameShuffleSpec",
    "DataNode",
    "DelayedExpr",
    "Elemwise",
    "Expr",
    "Fillna",
    "Filter",
    "FromGraph",
    "FromPandas",
    "Fused",
    "GroupByApply",
    "GroupByApplyConcatApply",
    "GroupbyAggregation",
    "Index",
    "Isin",
    "Len",
    "List",
    "Literal",
    "Map",
    "Merge",
    "P2PBarrierTask",
    "P2POutOfDiskError",
    "Partitions",
    "PartitionsFiltered",
    "Projection",
    "RenameFrame",
    "RenameSeries",
    "ShuffleId",
    "Task",
    "TaskRef",
    "UFuncElemwise",
    "Unaryop",
    "balanced_chunks",
    "barrier_key",
    "convert_legacy_graph",
    "determine_column_projection",
    "fingerprint",
    "get_worker_plugin",
    "groupby_reductions",
    "handle_transfer_errors",
    "inside_worker",
    "is_filter_pushdown_available",
    "is_lowering",
    "lowered",
    "new_collection",
    "p2p_barrier",
    "reductions",
    "row_functions",
    "shuffle_unpack",
    "strip_unknown_categories",
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


def lowered(expr: Any) -> Any:
    """Return the concrete form of an expression, with the partitions that it was planned with.

    dask's tune pass, which joins partitions of parquet files, is left out.
    """
    token = _lowering.set(True)
    try:
        return expr.lower_completely().simplify()
    finally:
        _lowering.reset(token)


_lowering: ContextVar[bool] = ContextVar("safeframe-lowering", default=False)


def is_lowering() -> bool:
    """Whether an expression is being lowered for what comes after it, by :func:`lowered`."""
    return _lowering.get()


def fingerprint(expr: Any) -> str:
    """Name an expression by what it is made of, alike in every process that makes it.

    dask's own name of a parquet read has objects of its process in it.
    """
    return _fingerprint(expr, {})


def _fingerprint(expr: Any, done: dict[str, str]) -> str:
    if expr._name not in done:
        parts: list[object] = [type(expr).__name__]
        for number, operand in enumerate(expr.operands):
            if isinstance(operand, Expr):
                parts.append(_fingerprint(operand, done))
            elif expr._parameters[number : number + 1] == ["_dataset_info_cache"]:
                parts.append(expr.checksum)
            else:
                parts.append(tokenize(operand))
        done[expr._name] = tokenize(parts)
    return done[expr._name]


def every_part(expr: Any) -> Iterator[Any]:
    """List an expression and all below it, in what dask has fused and in what its optimiser does not look into."""
    waiting, seen = [expr], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        for operand in part.operands:
            below = operand if isinstance(operand, list) else [operand]
            waiting.extend(one for one in below if isinstance(one, Expr))
        if "hidden" in part._parameters:  # of safeframe's own nodes
            waiting.append(part.operand("hidden").tree)


def files_read(expr: Any) -> Iterator[str]:
    """List the parquet files that an expression reads."""
    for part in every_part(expr):
        yield from _files_of(part)


def local_files_read(expr: Any) -> Iterator[str]:
    """List the parquet files that an expression reads from a file system of this machine."""
    for part in every_part(expr):
        where = None
        if type(part).__name__ == "ReadParquetFSSpec":
            where = getattr(part._dataset_info["ds"], "filesystem", None)  # a union of datasets has none
        elif type(part).__name__ == "ReadParquetPyarrowFS":
            where = part.fs
        if isinstance(where, LocalFileSystem):
            yield from _files_of(part)


def _files_of(part: Any) -> Iterator[str]:
    if type(part).__name__ == "ReadParquetFSSpec":
        yield from part._dataset_info["ds"].files
    elif type(part).__name__ == "ReadParquetPyarrowFS":
        yield from (fragment.fragment.path for fragment in part._dataset_info["fragments"])


def inside_worker() -> bool:
    """Whether this code runs in a task of a distributed worker."""
    from distributed.worker import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True
