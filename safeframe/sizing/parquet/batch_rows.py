"""How many rows of a row group may be decoded at a time, wherever in it they are wide.

A reader decodes so many rows at a time, chosen when it begins. Where strings become longer in the middle of a file,
as many rows are many times as large there. The heads of pages tell where that is: so many rows that follow each other
have the bytes of the pages that they lie in, at most.

Covers: the rows of a batch, by the pages of each column whose values differ in width.
Does not cover: how wide rows are that were seen (``sizing.parquet.stream``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safeframe import options
from safeframe.kernels.parquet.page_head import (
    DELTA_LENGTHS,
    PLAIN,
    PLAIN_DICTIONARY,
    RLE_DICTIONARY,
    PageHead,
)
from safeframe.sizing.columns.fixed_widths import NULL_BIT, arrow_nbytes
from safeframe.sizing.parquet.page_heads import page_heads

_VALUE_NBYTES = 4 + NULL_BIT
"""Bytes of a string in memory on top of its own."""

_SKEWED = 4.0
"""The longest string of a dictionary by the mean of all, above which it says little of rows."""

_TEXTS = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
"""Types whose dictionaries pyarrow reads; of others, as JSON, it makes values."""

_PHYSICAL_NBYTES = {"INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BatchRows:
    """How many rows of a row group are decoded at a time."""

    most: int
    """So many, at most."""
    row_nbytes: float
    """Bytes of a row on average, as far as they are known before it is decoded."""
    blind: bool
    """Whether it is not known of some column where its values are wide."""

    def after(self, seen_nbytes: float) -> int:
        """Return how many rows, at most, follow those that had so many bytes each.

        Where nobody knows where rows are wide, and wider ones have to come, in steps that are small whatever comes.
        """
        wider = self.blind and self.row_nbytes > options.BATCH_WIDENING * seen_nbytes
        return min(self.most, options.SLICE_FIRST_ROWS) if wider else self.most


def batch_rows(
    handle: Any, file: pq.ParquetFile, group: int, fields: Iterable[pa.Field], nbytes: int, rows: int
) -> BatchRows:
    """Bound the rows that are decoded at a time.

    Parameters
    ----------
    handle
        The open file.
    file
        What reads it.
    group
        The row group.
    fields
        The columns that are read.
    nbytes
        Bytes that rows of a batch should not have many more of. A page is decoded whole whatever it has, and may be more.
    rows
        Rows of a batch, at most.

    Notes
    -----
    Memory: a few bytes a page; of a column of strings by number that are long, its dictionary and a batch of numbers.
    """
    footer = file.metadata.row_group(group)
    all_rows = footer.num_rows
    leaves = (footer.column(leaf) for leaf in range(footer.num_columns))
    chunks = {chunk.path_in_schema: chunk for chunk in leaves}
    largest = options.BATCH_WIDENING * nbytes
    widths = [(field, arrow_nbytes(field.type)) for field in fields]
    width = sum(
        _VALUE_NBYTES if fixed is None else fixed for field, fixed in widths if _is_even(field.type, fixed)
    )
    uneven = [field for field, fixed in widths if not _is_even(field.type, fixed)]
    room = _Room(rows, nbytes, nbytes / max(1, len(uneven)))
    heads = {field.name: _heads(handle, chunks.get(field.name), field.type) for field in uneven}
    text = _Text(handle, file.metadata, group)
    longest = text.longest(
        {
            name: dictionary
            for name, found in heads.items()
            if (dictionary := _dictionary_nbytes(found)) * min(rows, all_rows) > room.column_nbytes
        },
        nbytes,
    )
    columns: list[_Widths] = []
    for name, found in heads.items():
        if found is None:
            own = [one for path, one in chunks.items() if path == name or path.startswith(f"{name}.")]
            columns.append(_Widths.even(all_rows, sum(map(_least_nbytes, own)), blind=True))
        else:
            columns.append(_of_pages(text, name, found, longest.get(name), all_rows, room))
    blind = any(one.blind for one in columns)
    largest = max(largest, *(one.page_nbytes for one in columns), 0.0)
    steps = (rows >> power for power in range(rows.bit_length()))
    fitting = (
        step
        for step in steps
        if step * width + _most_in_window(columns, min(step, all_rows), all_rows) <= largest
    )
    total = width + sum(float(one.nbytes[-1]) for one in columns) / max(1, all_rows)
    return BatchRows(next(fitting, 1), total, blind)


def _is_even(kind: pa.DataType, fixed: float | None) -> bool:
    return fixed is not None or pa.types.is_dictionary(kind)


def _heads(handle: Any, chunk: pq.ColumnChunkMetaData | None, kind: pa.DataType) -> list[PageHead] | None:
    return page_heads(handle, chunk) if chunk is not None and kind in _TEXTS else None


def _dictionary_nbytes(heads: list[PageHead] | None) -> float:
    return float(max((head.nbytes for head in heads or () if not head.is_data), default=0))


def _least_nbytes(chunk: pq.ColumnChunkMetaData) -> float:
    """Return what the values of a column have at least: a dictionary has each of them once, however often it is there."""
    width = (
        _VALUE_NBYTES if chunk.physical_type == "BYTE_ARRAY" else _PHYSICAL_NBYTES.get(chunk.physical_type, 0)
    )
    return max(float(chunk.total_uncompressed_size), float(chunk.num_values * width))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Widths:
    """Bytes of a column, added up along its rows."""

    rows: Floats
    """Rows at which something is known: 0 first, all of them last."""
    nbytes: Floats
    """Bytes of the values before each of them."""
    page_nbytes: float = 0.0
    """Bytes of the largest page."""
    blind: bool = False
    """Whether values may be wider at one place than at others without being known to be."""

    @classmethod
    def even(cls, rows: int, nbytes: float, *, blind: bool = False) -> _Widths:
        """Return widths of which the sum alone is known."""
        return cls(rows=np.array([0.0, rows]), nbytes=np.array([0.0, nbytes]), blind=blind)


def _most_in_window(columns: list[_Widths], window: int, rows: int) -> float:
    """Return the most bytes that so many rows have which follow each other."""
    if not columns:
        return 0.0
    # Between places where something is known bytes grow evenly: most are in a window that begins or ends at one.
    places = np.concatenate([one.rows for one in columns])
    starts = np.clip(np.unique(np.concatenate([places, places - window])), 0, max(0, rows - window))
    found = np.zeros(len(starts))
    for one in columns:
        found += np.interp(starts + window, one.rows, one.nbytes) - np.interp(starts, one.rows, one.nbytes)
    return float(found.max())


@dataclass(frozen=True, slots=True)
class _Room:
    """What a batch has room for."""

    rows: int
    nbytes: int
    column_nbytes: float
    """Bytes of one column, where all whose widths differ have as many."""


def _of_pages(
    text: _Text, name: str, heads: list[PageHead], longest: float | None, rows: int, room: _Room
) -> _Widths:
    """Return the widths of a column of strings by its pages, as closely as it matters for batches."""
    data = [head for head in heads if head.is_data]
    values = np.array([head.values for head in data], np.float64)
    encoding = np.array([head.encoding for head in data], np.int64)
    held = np.array([head.nbytes for head in data], np.float64)
    numbered = np.isin(encoding, (PLAIN_DICTIONARY, RLE_DICTIONARY))
    first = len(data) if numbered.all() else int(np.argmin(numbered))
    if values.sum() != rows or numbered[first:].any():  # no pages as the usual writers make them
        return _Widths.even(rows, float(held.sum()), blind=True)
    held += values * np.where(encoding == PLAIN, NULL_BIT, _VALUE_NBYTES)
    ends = np.concatenate([[0.0], values.cumsum()])
    before = _Widths.even(0, 0.0)
    if first:
        # Of strings by number the pages have the numbers; one string has no more bytes than all of the dictionary.
        by_number = int(ends[first])
        at_once = min(by_number, room.rows)
        dictionary = _dictionary_nbytes(heads)
        mean = dictionary / max(1, *(head.values for head in heads if not head.is_data), 1)
        longest = dictionary if longest is None else longest
        skewed = longest > _SKEWED * mean and longest * at_once > room.column_nbytes
        if skewed or longest * at_once > room.nbytes:
            before = text.widths(name, by_number)
        held[:first] = values[:first] * (longest + _VALUE_NBYTES)
    # Rows of a page that is taken in part have the bytes of it in which they lie, at most.
    cumulated = np.concatenate([[0.0], held.cumsum()])
    after = ends > before.rows[-1]
    known = numbered | np.isin(encoding, (PLAIN, DELTA_LENGTHS))
    return _Widths(
        rows=np.concatenate([before.rows, ends[after]]),
        nbytes=np.concatenate(
            [
                before.nbytes,
                before.nbytes[-1] + cumulated[after] - np.interp(before.rows[-1], ends, cumulated),
            ]
        ),
        page_nbytes=float(held[first:].max(initial=0.0)),
        blind=not known.all(),
    )


@dataclass(frozen=True, slots=True)
class _Text:
    """Columns of strings of a row group, of which those by number are read as numbers."""

    handle: Any
    footer: pq.FileMetaData
    group: int

    def longest(self, dictionaries: dict[str, float], nbytes: int) -> dict[str, float]:
        """Return the bytes of the longest string of each dictionary, which is there whole once one value of it is.

        They are read together as long as they have so many bytes: a reader takes longer to begin than to read a small one.
        """
        found: dict[str, float] = {}
        names, held = list(dictionaries), np.cumsum([0.0, *dictionaries.values()])
        while len(found) < len(names):
            first = len(found)
            end = max(first + 1, int(np.searchsorted(held, held[first] + nbytes, side="right")) - 1)
            batch = next(self._batches(1, names[first:end]))
            found |= {name: float(_lengths(batch.column(name)).max(initial=0)) for name in names[first:end]}
        return found

    def widths(self, name: str, rows: int) -> _Widths:
        """Add up the bytes of the first so many rows of a column, but for some at their end, decoding their numbers alone."""
        step = options.SLICE_FIRST_ROWS
        at, text = [np.zeros(1)], [np.zeros(1)]
        size = min(rows, options.SLICE_MOST_ROWS)
        # What is left may be followed by strings that have no number.
        for batch in itertools.islice(self._batches(size, [name]), rows // size):
            column = batch.column(0)
            codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            own = np.append(_lengths(column), 0)[codes] + _VALUE_NBYTES
            ends = np.append(np.arange(step, len(own), step), len(own))
            text.append(text[-1][-1] + np.add.reduceat(own, np.append(0, ends[:-1])).cumsum())
            at.append(at[-1][-1] + ends)
        return _Widths(rows=np.concatenate(at), nbytes=np.concatenate(text))

    def _batches(self, rows: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        file = pq.ParquetFile(
            self.handle,
            metadata=self.footer,
            read_dictionary=names,
            pre_buffer=False,
            buffer_size=options.PARQUET_SMALL_BUFFER_NBYTES,
        )
        return file.iter_batches(rows, row_groups=[self.group], columns=names, use_threads=False)  # type: ignore[no-any-return]


def _lengths(column: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """Return the bytes of each string of a dictionary."""
    lengths = pc.binary_length(column.dictionary).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)
