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
from safeframe.sizing.parquet.damaged import reading_file
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
    told = (files.schema.pandas_metadata or {}).get("columns", [])
    # Objects that pandas has written may be numbers and None.
    written = {one["name"] for one in told if one["numpy_type"] != "object"}
    kinds = {
        column: np.dtype(np.float64 if dtype.kind in "iu" else object)
        for column, dtype in dtypes.items()
        if isinstance(dtype, np.dtype)
        and dtype.kind in "iub"
        and column in files.schema.names
        and files.schema.field(column).nullable
        and column not in written
        and column not in files.without_nulls
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
    """Return which columns have a null, by footers; where these do not tell, by the values of a row group at a time."""
    found: set[Any] = set()
    opened = fs.open if hasattr(fs, "open") else fs.open_input_file
    for path in paths:
        with reading_file(path), opened(path) as handle:
            file = pq.ParquetFile(handle)
            if file.metadata.num_rows:
                # Values of a column of directories are in the path.
                lacks = set(names).difference(file.schema_arrow.names)
                found.update(name for name in lacks if f"/{name}=" not in path)
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                for leaf in range(group.num_columns):
                    name = file.schema.column(leaf).path
                    # The path of a field of a record may be the name of another column.
                    if name not in names or name in found or file.schema.column(leaf).name != name:
                        continue
                    told = group.column(leaf).statistics
                    if told is None or not told.has_null_count:
                        table = file.read_row_group(number, [name], use_threads=False)
                        nulls = table.column(name).null_count
                    else:
                        nulls = told.null_count
                    if nulls:
                        found.add(name)
    return frozenset(found)
