"""What is known of frames: how many rows they have and how wide these are, and of which data.

Covers: bytes per row of each column, rows per partition, how partitions come about; a name of what a frame holds now,
for frames of local parquet files (by their expression and each file's size, time of its last write, and inode) and of
pandas, so that what was learnt is not learnt again while the data is the same (``sizing.remembered``).
Does not cover: names of frames with a function of the user's, with delayed values or from object stores. Nobody
can tell whether such data is what it was, so that they are read each time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import options
from safeframe._dask.expressions import Elemwise, Filter, FromPandas, Literal
from safeframe._dask.parquet import is_parquet, local_files_read, source_rows
from safeframe._dask.trees import fingerprint, lowered, own_tasks
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import ColumnProfile, FrameProfile, FrameSource
from safeframe.facts.keys import Counts
from safeframe.kernels.columns.rows import rows_have_fixed_width
from safeframe.progress.tasks import computed
from safeframe.sizing.columns.fixed_widths import fixed_nbytes, narrowest_column
from safeframe.sizing.columns.objects import may_be_unwritable, unwritable_columns
from safeframe.sizing.columns.widths import INDEX, sampled_widths
from safeframe.sizing.files import marked
from safeframe.sizing.parquet.pages import with_pages
from safeframe.sizing.partitions.slices import SlicedFrame, sliced_frame
from safeframe.sizing.partitions.tasks import each_partition, project
from safeframe.sizing.remembered import STORE

T = TypeVar("T")

Side = tuple[dd.DataFrame, tuple[Any, ...]]
"""A frame, and columns of it."""

_RESTED_NS = 100_000_000
"""A file that was written so shortly ago may be written once more within the same tick of its file system's clock."""
_COARSE_NS = 2_000_000_000
"""The same of file systems whose times are whole seconds."""


def profile_frame(ddf: dd.DataFrame, partition_rows: Counts | None = None) -> FrameProfile:
    """Learn the rows of a frame and the bytes of a row.

    Parameters
    ----------
    ddf
        The frame.
    partition_rows
        Rows per partition, where they are known; they are counted otherwise.

    Notes
    -----
    **Eager.** Columns of fixed width are known from their types. The bytes of
    strings, objects and categories are measured on up to ``options.WIDTH_SAMPLES``
    partitions that have rows, reading only these columns of them, and are an
    interval; footers of parquet files tell whether they are longer elsewhere. Without
    ``partition_rows``, one column of every partition is read to count rows. What this process
    learnt before is not read again while the data is the same.

    Examples
    --------
    >>> frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.0, 2.0]}), npartitions=2)
    >>> profile = profile_frame(frame)
    >>> int(profile.rows), profile.row_nbytes, int(profile.largest_partition_rows)
    (3, 16.0, 2)
    """
    if partition_rows is None:
        partition_rows = count_partition_rows(ddf)
    counted = partition_rows
    what = ("profile", hashlib.blake2b(counted.tobytes()).digest())

    def look(frames: Sequence[Side]) -> list[FrameProfile]:
        return [_profile(frame, counted) for frame, _ in frames]

    return each_once([(ddf, tuple(ddf._meta.columns))], what, look, _nbytes_of)[0]


def _nbytes_of(profile: FrameProfile) -> int:
    return options.PROFILE_NBYTES * (1 + len(profile.columns))


def _profile(ddf: dd.DataFrame, partition_rows: Counts) -> FrameProfile:
    meta = ddf._meta
    fixed = [fixed_nbytes(dtype) for dtype in meta.dtypes]
    index_nbytes = _index_nbytes(meta.index)
    varying = [name for name, nbytes in zip(meta.columns, fixed, strict=True) if nbytes is None]
    sampled: dict[Any, Width] = {}
    if varying or index_nbytes is None:
        sampled = sampled_widths(ddf, varying, partition_rows, with_index=index_nbytes is None)
    unwritable: dict[Any, str] = {}
    if any(map(may_be_unwritable, meta.dtypes)):
        unwritable = unwritable_columns(ddf, partition_rows)
    columns = tuple(
        ColumnProfile(
            name=str(name),
            dtype=str(dtype),
            row_nbytes=sampled[name].expected if nbytes is None else nbytes,
            exact=nbytes is not None,
            sampled=sampled[name] if nbytes is None else None,
            unwritable=unwritable.get(name, ""),
        )
        for name, dtype, nbytes in zip(meta.columns, meta.dtypes, fixed, strict=True)
    )
    return FrameProfile(
        columns=columns,
        index_row_nbytes=sampled[INDEX].expected if index_nbytes is None else index_nbytes,
        index_sampled=sampled[INDEX] if index_nbytes is None else None,
        partitions=len(partition_rows),
        rows=Estimate.computed(int(partition_rows.sum())),
        largest_partition_rows=Estimate.computed(int(partition_rows.max(initial=0))),
        source=frame_source(ddf),
    )


def frame_source(ddf: dd.DataFrame) -> FrameSource:
    """Return how the partitions of a frame come about.

    Notes
    -----
    **Eager.** Of some files of a parquet source the footer is read, and the heads of some pages.
    """
    frame = lowered(ddf.expr.simplify())
    known = FrameSource(
        self_made=own_tasks(frame.fuse()) is not None,
        fixed_width=rows_have_fixed_width([*ddf._meta.dtypes, ddf._meta.index.dtype]),
    )
    sliced = sliced_frame(frame)
    if not isinstance(sliced, SlicedFrame):
        return replace(known, whole=sliced)
    parts = sliced.parts()
    if parts is None:
        return replace(known, whole="its files are read in a way of their own")
    files = [part for one in parts for table in one.tables for part in table.parts]
    return with_pages(replace(known, whole=""), files)


def count_partition_rows(ddf: dd.DataFrame) -> Counts:
    """Count the rows of each partition, reading its narrowest column only.

    Examples
    --------
    >>> count_partition_rows(dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2))
    array([2, 1])
    """
    narrowest = [narrowest_column(ddf._meta)] if len(ddf._meta.columns) else []
    counted: tuple[Counts, ...] = computed(
        "counting rows", each_partition(ddf[narrowest], _rows, np.concatenate, step="count-rows")
    )
    return np.concatenate(counted)


def footer_rows(ddf: dd.DataFrame) -> Counts | None:
    """Return the rows of each partition by parquet footers alone, or None where those do not tell."""
    lengths = source_rows(ddf)
    if not lengths or len(lengths) != ddf.npartitions:
        return None
    return np.array(lengths, np.int64)


def _rows(frame: pd.DataFrame) -> Counts:
    return np.array([len(frame)], np.int64)


def _index_nbytes(index: pd.Index[Any]) -> float | None:
    if isinstance(index, pd.RangeIndex):
        return 0.0
    return None if isinstance(index, pd.MultiIndex) else fixed_nbytes(index.dtype)


def content_name(ddf: dd.DataFrame, columns: Sequence[Any]) -> str | None:
    """Return a name of what columns of a frame hold now: another one once any of its files is another.

    Parameters
    ----------
    ddf
        The frame.
    columns
        Columns of it; a name that is none stands for the index.

    Returns
    -------
    str or None
        None where nobody can tell whether the data is what it was.

    Notes
    -----
    One ``stat`` for each file; nothing is read.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})
    >>> one, other = (dd.from_pandas(frame.assign(b=b), npartitions=1) for b in (5, 6))
    >>> (
    ...     content_name(one, ["a"]) == content_name(other, ["a"]),
    ...     content_name(one, ["b"]) == content_name(other, ["b"]),
    ... )
    (False, False)
    >>> content_name(one.map_partitions(lambda part: part), ["a"]) is None
    True
    """
    expr = project(ddf, columns).expr.simplify()
    marks = b""
    for node in expr.walk():
        if node.dependencies():
            if not (isinstance(node, (Elemwise, Filter)) and not any(map(_may_call, node.operands))):
                return None
        elif is_parquet(node):
            found = _marks(node)
            if found is None:
                return None
            marks += found
        elif not (isinstance(node, Literal) or _is_of_values(node)):
            return None
    return f"{fingerprint(expr)}-{marks.hex()}"


def _is_of_values(leaf: Any) -> bool:
    """Whether a leaf is a copy of a pandas frame that nobody can reach: of objects only the references are copied."""
    if not isinstance(leaf, FromPandas):
        return False
    dtypes = [leaf._meta.dtype] if leaf.ndim == 1 else list(leaf._meta.dtypes)
    return not any(map(pd.api.types.is_object_dtype, dtypes))


def _may_call(operand: Any) -> bool:
    if isinstance(operand, (list, tuple)):
        return any(map(_may_call, operand))
    if isinstance(operand, dict):
        return any(map(_may_call, operand.values()))
    return callable(operand) and not isinstance(operand, type)


def _marks(read: Any) -> bytes | None:
    """Return the marks of the files of a parquet source, where all of them can be seen and have rested."""
    paths = sorted(set(local_files_read(read)))
    files = marked(paths) if paths else None
    if files is None or len(files.paths) < len(paths):
        return None
    now = time.time_ns()
    rested = (now - at > (_RESTED_NS if at % 1_000_000_000 else _COARSE_NS) for at in files.last_writes)
    return files.marks if all(rested) else None


def each_once(
    frames: Sequence[Side],
    what: tuple[Hashable, ...],
    look: Callable[[Sequence[Side]], list[T]],
    nbytes: Callable[[T], int],
) -> list[T]:
    """Look at columns of frames: once where one is given twice, and not again where this process did before.

    Parameters
    ----------
    frames
        Each with the columns that are looked at.
    what
        What is looked for.
    look
        Returns what is found, for each of the frames that it gets.
    nbytes
        Bytes of what is found.

    Examples
    --------
    >>> def rows(frames):
    ...     print("counted")
    ...     return [len(ddf) for ddf, _ in frames]
    >>> side = dd.from_pandas(pd.DataFrame({"a": [1, 2, 7]}), npartitions=1), ("a",)
    >>> (
    ...     each_once([side, side], ("rows",), rows, lambda found: 8),
    ...     each_once([side], ("rows",), rows, lambda found: 8),
    ... )
    counted
    ([3, 3], [3])
    """
    names: list[Hashable] = []
    found: dict[Hashable, T] = {}
    missing: dict[Hashable, Side] = {}
    lasting: set[Hashable] = set()
    for ddf, columns in frames:
        # Before anything is read: a file that is written meanwhile has other marks next time.
        content = content_name(ddf, columns)
        name = (*what, columns, content or project(ddf, columns).expr._name)
        names.append(name)
        if content is not None:
            lasting.add(name)
        known = None if content is None else STORE.find(name)
        if known is None:
            missing.setdefault(name, (ddf, columns))
        else:
            found[name] = known
    new = look(list(missing.values())) if missing else []
    for asked, value in zip(missing, new, strict=True):
        found[asked] = value
        if asked in lasting:
            STORE.keep(asked, value, nbytes(value))
    return [found[name] for name in names]
