"""Integers and flags of parquet files that have missing values: dask promises their type, and makes floats or objects of them.

A frame that is read from files whose writer was not pandas promises ``int64`` for such a column. Partitions with a null
in it have ``float64``, as pandas reads them, and so has the frame as a whole. It is given that type at its source.

Covers: which columns of a source have nulls, by the footers of its files; their types.
Does not cover: partitions of other sources that disagree, which are answered where they are met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.parquet import ParquetFiles
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.remembered import STORE

_NAME_NBYTES = 200
"""What is remembered of a source takes about so many bytes for each column."""


def types_of_nulls(files: ParquetFiles, dtypes: Mapping[Any, Any], name: str) -> dict[Any, Any]:
    """Return the types of columns that have others than is promised, once they are read.

    Parameters
    ----------
    files
        The files of a source.
    dtypes
        The types that its columns are promised to have.
    name
        A name of it: another one once any of the files is another.

    Notes
    -----
    **Eager.** The footers of files with columns of integers or flags are read, of those that pandas has not written.
    """
    written = {one["name"] for one in (files.schema.pandas_metadata or {}).get("columns", [])}
    kinds = {
        column: np.dtype(np.float64 if dtype.kind in "iu" else object)
        for column, dtype in dtypes.items()
        if isinstance(dtype, np.dtype)
        and dtype.kind in "iub"
        and column in files.schema.names
        and files.schema.field(column).nullable
        and column not in written
        and column not in files.filtered_by  # which leaves nulls out, but for filters that look for them
    }
    if not kinds:
        return {}
    key = ("columns with nulls", name)
    found: frozenset[Any] | None = STORE.find(key)
    if found is None:
        found = _columns_with_nulls(files, tuple(kinds))
        STORE.keep(key, found, _NAME_NBYTES * (1 + len(found)))
    return {column: dtype for column, dtype in kinds.items() if column in found}


def _columns_with_nulls(files: ParquetFiles, names: Sequence[Any]) -> frozenset[Any]:
    step = max(1, min(options.FOOTERS_AT_ONCE, -(-len(files.paths) // options.KEY_MIN_TASKS)))
    some = ((files.fs, files.paths[at : at + step], names) for at in range(0, len(files.paths), step))
    looks = named_tasks("read-footers", _with_nulls, some)
    return frozenset[Any]().union(*computed("reading footers", looks, late=True))


def _with_nulls(fs: Any, paths: Sequence[str], names: Sequence[Any]) -> frozenset[Any]:
    """Return which columns have a null, of those that footers tell of."""
    found: set[Any] = set()
    opened = fs.open if hasattr(fs, "open") else fs.open_input_file
    for path in paths:
        with opened(path) as handle:
            footer = pq.read_metadata(handle)
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            for leaf in range(group.num_columns):
                chunk = group.column(leaf)
                if chunk.path_in_schema in names and chunk.is_stats_set:
                    told = chunk.statistics
                    if told.has_null_count and told.null_count:
                        found.add(chunk.path_in_schema)
    return frozenset(found)
