"""Bounds the number of keys of a frame by what its parquet files say of them, without reading the keys.

Covers: integers, days and booleans, by the smallest and largest value in the footers; text that all row groups keep in
dictionaries, by what these have together; values that folders stand for; nulls; rows by the footers.
Does not cover: rows of a key, which nobody knows without reading them (``sizing.keys.statistics``).
"""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.as_read import AsRead
from safeframe._dask.expressions import AsType, Filter, Projection
from safeframe._dask.gathering import ToFrame
from safeframe._dask.parquet_tasks import FileRows, TablePart, is_parquet_read
from safeframe.facts.keys import BoundedKeys
from safeframe.kernels.columns.categories import is_text
from safeframe.kernels.parquet.footer import GroupSize, group_sizes
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.frames import Side, each_once
from safeframe.sizing.parquet.damaged import reading_file
from safeframe.sizing.parquet.decoded import footer_of
from safeframe.sizing.parquet.page_heads import page_head, page_heads
from safeframe.sizing.parquet.pages import wanted_of
from safeframe.sizing.partitions.slices import ParquetPart, sliced_parts
from safeframe.sizing.partitions.tasks import PartitionTasks, project

_GROUPS_OF_FOOTER = 4
"""Row groups of a file for each that is read, up to which its whole footer is parsed for these."""


def bound_keys(ddf: dd.DataFrame, on: tuple[Any, ...], *, dropna: bool) -> BoundedKeys | None:
    """Bound the number of keys of a frame.

    Parameters
    ----------
    ddf
        The frame.
    on
        Its key columns.
    dropna
        Whether keys with a null do not count.

    Returns
    -------
    BoundedKeys or None
        None where files do not tell, where their columns were worked on since, or where the bound is above
        ``options.BOUNDED_KEYS``.

    Notes
    -----
    **Eager**: footers are read, ``options.FOOTERS_AT_ONCE`` a task, and the dictionaries of columns of text. What this
    process learnt before is not read again while the data is the same.
    """
    narrow = project(ddf, on)
    if set(narrow.columns) != set(on) or not all(map(_may_be_bounded, narrow._meta.dtypes)):
        return None
    steps, source = _steps_after_read(narrow.expr.simplify())
    if source is None:
        return None
    # What a null becomes in another type may be a value.
    dropna = dropna and AsType not in steps

    def look(frames: Sequence[Side]) -> list[_Looked]:
        return [_look(frame, tuple(map(str, names))) for frame, names in frames]

    (looked,) = each_once([(narrow, on)], ("bounded keys",), look, lambda found: found.nbytes)
    return looked.bound(dropna=dropna, filtered=Filter in steps)


def _may_be_bounded(dtype: Any) -> bool:
    """Whether values of a type may be text, integers or the like in a file: not all of a frame's are."""
    return not isinstance(dtype, np.dtype) or dtype.kind in "iufbO"


def _steps_after_read(expr: Any) -> tuple[set[type], Any | None]:
    """Return the steps between a parquet source and an expression, and that, where none makes more values of a column.

    None where there are others, or no source.
    """
    steps: set[type] = set()
    while isinstance(expr, (Projection, Filter, AsType, AsRead)) or _is_named_alike(expr):
        steps.update(kind for kind in (Filter, AsType) if isinstance(expr, kind))
        expr = expr.frame
    return steps, expr if is_parquet_read(expr) else None


def _is_named_alike(expr: Any) -> bool:
    """Whether an expression makes a frame of a column, under the name that this has."""
    return isinstance(expr, ToFrame) and list(expr._meta.columns) == [expr.frame._meta.name]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Values:
    """Values of a column of some row groups."""

    low: int | None = None
    """The least integer, and the greatest; None where there is none."""
    high: int | None = None
    text: pa.Array | None = None
    """All strings, each once; None where there is none."""
    null: bool = False
    """Whether some may be null."""

    @property
    def most(self) -> int:
        """How many different ones there are at most, but for nulls."""
        numbers = 0 if self.low is None or self.high is None else self.high - self.low + 1
        return numbers + (0 if self.text is None else len(self.text))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Looked:
    """What the files of some partitions say."""

    rows: tuple[int, ...]
    """Rows of each partition."""
    fewer: bool
    """Whether a filter leaves fewer."""
    columns: tuple[_Values | None, ...]
    """What they say of each key; None where they do not tell."""

    @property
    def nbytes(self) -> int:
        """Bytes that it has, about."""
        texts = (one.text.nbytes for one in self.columns if one is not None and one.text is not None)
        return int(8 * len(self.rows) + sum(texts))

    def bound(self, *, dropna: bool, filtered: bool) -> BoundedKeys | None:
        """Return the bound that follows, also where rows are left out after the read."""
        if any(one is None for one in self.columns):
            return None
        most = math.prod(one.most + (one.null and not dropna) for one in self.columns if one is not None)
        most = min(most, sum(self.rows))
        if most > options.BOUNDED_KEYS:
            return None
        return BoundedKeys(keys=most, rows=np.array(self.rows, np.int64), fewer=self.fewer or filtered)


def _look(frame: dd.DataFrame, names: tuple[str, ...]) -> _Looked:
    parts = sliced_parts(frame)
    nothing = _Looked(rows=(), fewer=False, columns=(None,) * len(names))
    if not parts:
        return nothing
    step = options.FOOTERS_AT_ONCE
    some = ((PartitionTasks(parts[at : at + step]), names) for at in range(0, len(parts), step))
    looks: Sequence[_Looked] = computed(
        "reading footers", named_tasks("bound-keys", _in_files, some), late=True
    )
    return _Looked(
        rows=tuple(rows for one in looks for rows in one.rows),
        fewer=any(one.fewer for one in looks),
        columns=tuple(map(_joined, zip(*(one.columns for one in looks), strict=True))),
    )


def _in_files(parts: PartitionTasks[ParquetPart], names: tuple[str, ...]) -> _Looked:
    rows, fewer = [], False
    found: dict[str, list[_Values | None]] = {name: [] for name in names}
    for part in parts:
        files = [file for table in part.tables for file in table.parts]
        rows.append(0)
        for file in files:
            wanted = wanted_of(file)
            fewer |= wanted.filters is not None
            columns = [name for name in names if None not in found[name]]
            n_rows, of_file = _of_file(file, wanted, columns)
            rows[-1] += n_rows
            for name in columns:
                found[name].append(of_file[name])
    return _Looked(rows=tuple(rows), fewer=fewer, columns=tuple(_joined(found[name]) for name in names))


def _joined(parts: Sequence[_Values | None]) -> _Values | None:
    """Return the values of all parts; None where one does not tell, or there are too many to be told apart."""
    known = [one for one in parts if one is not None]
    if len(known) < len(parts):
        return None
    texts = [one.text for one in known if one.text is not None]
    text = pa.chunked_array(texts).unique() if texts else None
    joined = _Values(
        low=min((one.low for one in known if one.low is not None), default=None),
        high=max((one.high for one in known if one.high is not None), default=None),
        text=text,
        null=any(one.null for one in known),
    )
    return joined if joined.most <= options.BOUNDED_KEYS else None


def _of_file(
    part: TablePart, wanted: FileRows, names: Collection[str]
) -> tuple[int, dict[str, _Values | None]]:
    """Return the rows of a file that are read, and what it says of some columns."""
    with reading_file(part.path), part.open() as handle:
        file = pq.ParquetFile(handle)
        chosen = part.row_groups()
        groups = list(range(file.metadata.num_row_groups) if chosen is None else chosen)
        reader = _Reader(handle, part.path, file, groups, names)
        found = {name: reader.values(name, wanted) for name in names}
        return sum(file.metadata.row_group(number).num_rows for number in groups), found


class _Reader:
    """An open file."""

    def __init__(
        self, handle: Any, path: str, file: pq.ParquetFile, groups: Sequence[int], names: Collection[str]
    ) -> None:
        self._handle = handle
        self._names = names
        self._path = path
        self._file = file
        self._groups = [number for number in groups if file.metadata.row_group(number).num_rows]
        schema = file.metadata.schema
        self._leaves = {schema.column(leaf).path: leaf for leaf in range(len(schema))}

    def values(self, name: str, wanted: FileRows) -> _Values | None:
        """Return the values of a column; None where nothing tells them."""
        if name not in self._file.schema_arrow.names:
            return _of_folder(name, wanted)
        kind = self._file.schema_arrow.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if name not in self._leaves:
            return None
        chunks = [self._file.metadata.row_group(number).column(self._leaves[name]) for number in self._groups]
        nulls = [
            not chunk.is_stats_set or not chunk.statistics.has_null_count or chunk.statistics.null_count > 0
            for chunk in chunks
        ]
        if is_text(kind):
            found = self._text(name)
        elif pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
            found = _joined([_ends(chunk) for chunk in chunks])
        else:
            return None
        return None if found is None else replace(found, null=any(nulls))

    def _text(self, name: str) -> _Values | None:
        """Return the strings of all dictionaries; None where there are others, or too many."""
        chunks = [self._file.metadata.row_group(number).column(self._leaves[name]) for number in self._groups]
        if not all(chunk.has_dictionary_page for chunk in chunks) or not self._is_numbered(name, chunks):
            return None
        for chunk in chunks:
            head = page_head(self._handle, chunk.dictionary_page_offset)
            if head.values > options.BOUNDED_KEYS or head.nbytes > options.BOUNDED_TEXT_NBYTES:
                return None
        file = pq.ParquetFile(
            self._handle,
            metadata=self._file.metadata,
            read_dictionary=[name],
            pre_buffer=False,
            buffer_size=options.PARQUET_SMALL_BUFFER_NBYTES,
        )
        parts: list[_Values | None] = []
        for number in self._groups:
            # A dictionary is there whole once one row of it is.
            batch = next(file.iter_batches(1, row_groups=[number], columns=[name], use_threads=False))
            parts.append(_Values(text=batch.column(0).dictionary.cast(pa.large_string())))
        return _joined(parts)

    def _is_numbered(self, name: str, chunks: Sequence[pq.ColumnChunkMetaData]) -> bool:
        """Whether all pages of a column have numbers of a dictionary."""
        if self._file.metadata.num_row_groups <= _GROUPS_OF_FOOTER * len(chunks):
            sizes = self._sizes
            return all(sizes[number].columns[name].numbered for number in self._groups)
        # The footer of a file with many row groups, of which few are read, is long.
        heads = [page_heads(self._handle, chunk) for chunk in chunks]
        return all(
            found is not None and all(head.is_numbered for head in found if head.is_data) for found in heads
        )

    @functools.cached_property
    def _sizes(self) -> list[GroupSize]:
        """What the footer says that pyarrow does not tell."""
        return group_sizes(footer_of(self._handle, self._path), self._names)


def _of_folder(name: str, wanted: FileRows) -> _Values:
    """Return the value of a column that is not in a file: a folder's name, or a null."""
    value = None
    if name in wanted.constants:
        value = wanted.constants[name].as_py()
    elif name in wanted.added:
        (value,) = wanted.added[name](1).to_pylist()
    if value is None:
        return _Values(null=True)
    return _Values(text=pa.array([str(value)], pa.large_string()))


def _ends(chunk: pq.ColumnChunkMetaData) -> _Values | None:
    """Return the range of the values of a column chunk; None where its footer does not tell."""
    told = chunk.statistics if chunk.is_stats_set else None
    if told is None:
        return None
    if told.has_min_max:
        return _Values(low=_number(told.min), high=_number(told.max))
    all_null = told.has_null_count and told.null_count == chunk.num_values
    return _Values() if all_null else None


def _number(value: Any) -> int:
    return value.toordinal() if isinstance(value, datetime.date) else int(value)
