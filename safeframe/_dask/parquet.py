"""dask's parquet sources: what they read, and a reader of ours in place of theirs.

Covers: the files of an expression; reader, parts and rows of a frame that is
nothing but a parquet source; the same reader on tables that are here already.
What a task reads, to be read in slices, is in ``parquet_tasks``.
Does not cover: which rows are read at a time (``sizing.parquet.stream``).

The public API makes frames of files, and of a frame it tells neither its files nor
what makes a partition. A table of Arrow becomes a frame with the columns, the index
and the dtypes that dask promises only in dask's own reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa

# The sources that dd.read_parquet chooses from: files and parts are among their attributes only.
from dask.dataframe.dask_expr.io.parquet import ReadParquetFSSpec, ReadParquetPyarrowFS

# The engine of the first; a subclass that the user gives may read what it likes.
from dask.dataframe.io.parquet.arrow import ArrowDatasetEngine
from pyarrow.fs import LocalFileSystem

from safeframe._dask.expressions import Merge
from safeframe._dask.trees import every_part

__all__ = [
    "ParquetFiles",
    "ParquetSource",
    "files_of_read",
    "files_read",
    "filtered_columns",
    "is_one_file",
    "is_parquet",
    "kinds_read",
    "local_files_read",
    "parquet_source",
    "part_groups",
    "reader_of_tables",
    "source_rows",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetSource:
    """What makes the partitions of a frame that is nothing but a parquet source."""

    read: Any
    """dask's function that reads a part; it has ``fs``, and ``project_columns``."""
    parts: tuple[dict[str, Any], ...]
    """What it is called with, for each partition: ``{"piece": (path, row groups, ...)}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetFiles:
    """The files of a parquet source, as they are and not as they are read."""

    fs: Any
    """fsspec's file system, or pyarrow's."""
    paths: tuple[str, ...]
    schema: pa.Schema
    """The types of their columns, by the first of them."""
    without_nulls: frozenset[str]
    """Columns whose nulls a filter leaves out."""


def files_of_read(node: Any) -> ParquetFiles:
    """Return the files of a node that is a parquet source (:func:`is_parquet`)."""
    info = node._dataset_info
    fs = info["fs"] if isinstance(node, ReadParquetFSSpec) else node.fs
    return ParquetFiles(
        fs=fs,
        paths=tuple(_files_of(node)),
        schema=info["schema"],
        without_nulls=_without_nulls(node.operand("filters")),
    )


def parquet_source(ddf: dd.DataFrame) -> ParquetSource | None:
    """Return the parquet source of a frame, where each partition is of one file; else None."""
    expr = _plain_read(ddf)
    if not isinstance(expr, ReadParquetFSSpec):
        return None
    plan, read = expr._plan, expr._io_func
    hive = plan["common_kwargs"].get("partitions")
    if plan["empty"] or hive or read.engine is not ArrowDatasetEngine:
        return None
    # Where dask looks at sizes, for large files, a part is a list, mostly of one.
    parts = tuple(part[0] if isinstance(part, list) and len(part) == 1 else part for part in plan["parts"])
    return ParquetSource(read=read, parts=parts) if all(map(is_one_file, parts)) else None


def source_rows(ddf: dd.DataFrame) -> tuple[int, ...] | None:
    """Return the rows of each partition of a parquet source by its footers, or None where those do not tell."""
    expr = _plain_read(ddf)
    return None if expr is None else expr._get_lengths()


def reader_of_tables(read: Any, table: Callable[..., pa.Table]) -> Callable[[Any], pd.DataFrame]:
    """Return dask's function that reads a part, on tables that ``table`` returns in place of the file's.

    Parameters
    ----------
    read
        The function, of a :class:`ParquetSource`.
    table
        Called with path, file system, row groups and columns, and more that may be ignored.
    """
    engine = type("TableEngine", (read.engine,), {"_read_table": staticmethod(table)})
    # Without filters: a source with them has no reader of its own here.
    made: Callable[[Any], pd.DataFrame] = type(read)(
        engine, read.fs, read.meta, read.columns, read.index, read.dtype_backend, None, read.common_kwargs
    )
    return made


def _plain_read(ddf: dd.DataFrame) -> Any | None:
    """Return the expression of a frame that is read from parquet and no more."""
    with dask.config.set({"optimization.tune.active": False}):
        expr = ddf.optimize(fuse=False).expr
    if not isinstance(expr, (ReadParquetFSSpec, ReadParquetPyarrowFS)):
        return None
    if expr.operand("filters") or expr.operand("_partitions") is not None or expr.operand("_series"):
        return None
    return expr


def is_one_file(part: Any) -> bool:
    """Whether what a reader is called with is one file, or some row groups of it."""
    return isinstance(part, dict) and set(part) == {"piece"} and isinstance(part["piece"][0], str)


def part_groups(part: dict[str, Any]) -> tuple[int, ...] | None:
    """Return the row groups of a part of one file; None where it has all of them."""
    chosen = part["piece"][1]
    chosen = chosen if chosen is None or isinstance(chosen, (list, tuple)) else [chosen]
    return None if chosen is None or list(chosen) == [None] else tuple(map(int, chosen))


def is_parquet(node: Any) -> bool:
    """Whether a node of an expression is a parquet source."""
    return isinstance(node, (ReadParquetFSSpec, ReadParquetPyarrowFS))


def files_read(expr: Any) -> Iterator[str]:
    """List the parquet files that an expression reads."""
    for part in every_part(expr):
        yield from _files_of(part)


def kinds_read(expr: Any) -> dict[str, pa.DataType]:
    """Return the types of columns that an expression reads from parquet files, where all of one name have one.

    Columns that a merge gives a suffix to are there by that name, too.
    """
    found: dict[str, set[pa.DataType]] = {}
    suffixes: set[str] = set()
    for part in every_part(expr):
        if is_parquet(part):
            for field in part._dataset_info["schema"]:
                found.setdefault(field.name, set()).add(field.type)
        elif isinstance(part, Merge):
            suffixes.update(suffix for suffix in part.operand("suffixes") or () if suffix)
    for name, kinds in [*found.items()]:
        for suffix in suffixes:
            found.setdefault(f"{name}{suffix}", kinds)
    return {name: next(iter(kinds)) for name, kinds in found.items() if len(kinds) == 1}


def local_files_read(expr: Any) -> Iterator[str]:
    """List the parquet files that an expression reads from a file system of this machine."""
    for part in every_part(expr):
        where = None
        if isinstance(part, ReadParquetFSSpec):
            where = getattr(part._dataset_info["ds"], "filesystem", None)  # a union of datasets has none
        elif isinstance(part, ReadParquetPyarrowFS):
            where = part.fs
        if isinstance(where, LocalFileSystem):
            yield from _files_of(part)


def _files_of(part: Any) -> Iterator[str]:
    if isinstance(part, ReadParquetFSSpec):
        yield from part._dataset_info["ds"].files
    elif isinstance(part, ReadParquetPyarrowFS):
        yield from (fragment.fragment.path for fragment in part._dataset_info["fragments"])


def filtered_columns(filters: Any) -> frozenset[str]:
    """Return the columns that filters look at: tuples in lists, or in lists of lists."""
    if not filters:
        return frozenset()
    if isinstance(filters, tuple) and isinstance(filters[0], str):
        return frozenset({filters[0]})
    return frozenset().union(*(filtered_columns(one) for one in filters))


def _without_nulls(filters: Any) -> frozenset[str]:
    """Return the columns whose nulls no row has that filters leave: those that every alternative compares."""
    if not filters:
        return frozenset()
    if isinstance(filters, tuple) and isinstance(filters[0], str):
        name, how, value = filters
        # A null is in no list without one, and not in any list; it is equal to nothing, nor less or more.
        compares = how in {"=", "==", "!=", "<", ">", "<=", ">=", "is not"} or (
            how == "in" and not pd.isna([*value]).any()
        )
        return frozenset({name}) if compares else frozenset()
    each = [_without_nulls(one) for one in filters]
    alternatives = isinstance(filters[0], list)
    return frozenset.intersection(*each) if alternatives else frozenset().union(*each)
