"""Reads what parquet files say of themselves.

Covers: rows, row groups, columns and bytes of each file, from the footers alone.
Does not cover: keys, or any reading of values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe.errors import ValidationError
from safeframe.sizing.parquet.damaged import reading_file
from safeframe.sizing.staging_url import without_login

_SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetColumn:
    """One column of one file, or of several, by the footers."""

    name: str
    """Its name."""
    types: tuple[pa.DataType, ...]
    """Its type; several where files disagree."""
    row_nbytes: float | None
    """Bytes of a value in memory; None where values have no fixed width."""
    nulls: int | None
    """Values that are null; None where a footer does not tell."""
    minimum: Any
    """Smallest value; None where a footer does not tell."""
    maximum: Any
    """Largest value; None where a footer does not tell."""
    file_nbytes: int
    """Bytes on disk, compressed."""
    encoded_nbytes: int
    """The same before compression."""

    def __add__(self, other: ParquetColumn) -> ParquetColumn:
        """Join what the footers of two files say of a column of the same name."""
        return ParquetColumn(
            name=self.name,
            types=tuple(dict.fromkeys((*self.types, *other.types))),
            row_nbytes=self.row_nbytes if self.types == other.types else None,
            nulls=None if self.nulls is None or other.nulls is None else self.nulls + other.nulls,
            minimum=_of_both(min, self.minimum, other.minimum),
            maximum=_of_both(max, self.maximum, other.maximum),
            file_nbytes=self.file_nbytes + other.file_nbytes,
            encoded_nbytes=self.encoded_nbytes + other.encoded_nbytes,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetFile:
    """One file, by its footer."""

    path: str
    """Where it is."""
    rows: int
    """Its rows."""
    row_groups: int
    """Its row groups."""
    largest_row_group_rows: int
    """Rows of the largest of them."""
    file_nbytes: int
    """Bytes on disk."""
    nbytes_at_least: int
    """Bytes in memory of all columns that have a fixed width; a footer does not tell of others."""
    exact: bool
    """Whether these are all columns."""
    columns: tuple[ParquetColumn, ...]
    """Its columns, in their order."""


def no_parquet_file(path: str) -> ValidationError:
    """Return the error of a path where no parquet file is."""
    msg = f"There is no parquet file at {without_login(path)!r}."
    hint = f"Name a file, or a directory of files that end in {', '.join(_SUFFIXES)}."
    return ValidationError(msg, hint=hint)


def read_footers(path: str) -> tuple[ParquetFile, ...]:
    """Read the footers of all parquet files of a data set.

    Parameters
    ----------
    path
        A file, or a directory, or an fsspec URL of either.

    Returns
    -------
    tuple of ParquetFile
        In the order of their paths.

    Raises
    ------
    ValidationError
        When there is no parquet file.
    """
    fs, root = fsspec.core.url_to_fs(path)
    names = [root] if fs.isfile(root) else sorted(name for name in fs.find(root) if _is_data(name))
    if not names:
        raise no_parquet_file(path)
    files = []
    for name in names:
        with reading_file(name), fs.open(name, "rb") as handle:
            files.append(_footer(name, int(fs.size(name)), pq.ParquetFile(handle)))
    return tuple(files)


def joined_columns(files: tuple[ParquetFile, ...]) -> tuple[ParquetColumn, ...]:
    """Return the columns of all files together, in the order in which they first come."""
    found: dict[str, ParquetColumn] = {}
    for file in files:
        for column in file.columns:
            found[column.name] = found[column.name] + column if column.name in found else column
    return tuple(found.values())


def _is_data(name: str) -> bool:
    leaf = name.rsplit("/", 1)[-1]
    return leaf.endswith(_SUFFIXES) and not leaf.startswith(("_", "."))


def _footer(name: str, file_nbytes: int, file: pq.ParquetFile) -> ParquetFile:
    metadata = file.metadata
    row_nbytes, exact = _row_nbytes(file.schema_arrow)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return ParquetFile(
        path=name,
        rows=metadata.num_rows,
        row_groups=len(groups),
        largest_row_group_rows=max((group.num_rows for group in groups), default=0),
        file_nbytes=file_nbytes,
        nbytes_at_least=row_nbytes * metadata.num_rows,
        exact=exact,
        columns=tuple(_columns(file)),
    )


def _columns(file: pq.ParquetFile) -> Iterator[ParquetColumn]:
    metadata = file.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    first = 0
    for field in file.schema_arrow:
        leaves = range(first, first := first + _n_leaves(field.type))
        chunks = [group.column(leaf) for group in groups for leaf in leaves]
        # Of a column of several leaves nulls and ends would be those of its parts.
        told = [chunk.statistics for chunk in chunks] if len(leaves) == 1 and _is_flat(field.type) else [None]
        nulls, minimum, maximum = _ends(
            [one for one in told if one is None or one.num_values or one.null_count]
        )
        yield ParquetColumn(
            name=field.name,
            types=(field.type,),
            row_nbytes=_fixed_nbytes(field.type),
            nulls=nulls,
            minimum=minimum,
            maximum=maximum,
            file_nbytes=sum(chunk.total_compressed_size for chunk in chunks),
            encoded_nbytes=sum(chunk.total_uncompressed_size for chunk in chunks),
        )


def _n_leaves(type_: pa.DataType) -> int:
    """Count the columns that a file has for a column: one for each leaf of its type."""
    if isinstance(type_, pa.BaseExtensionType):
        return _n_leaves(type_.storage_type)
    if pa.types.is_dictionary(type_) or not pa.types.is_nested(type_):
        return 1
    return sum(_n_leaves(type_.field(i).type) for i in range(type_.num_fields))


def _is_flat(type_: pa.DataType) -> bool:
    return not pa.types.is_nested(type_)


def _ends(told: list[Any]) -> tuple[int | None, Any, Any]:
    """Return nulls, smallest and largest value of all row groups, each None where one of them does not tell."""
    if any(one is None for one in told):
        return None, None, None
    nulls = sum(one.null_count for one in told) if all(one.has_null_count for one in told) else None
    full = [one for one in told if one.num_values]
    if not full or not all(one.has_min_max for one in full):
        return nulls, None, None
    return nulls, min(one.min for one in full), max(one.max for one in full)


def _of_both(choose: Any, one: Any, other: Any) -> Any:
    if one is None or other is None:
        return None
    try:
        return choose(one, other)
    except TypeError:  # of files with different types
        return None


def _row_nbytes(schema: pa.Schema) -> tuple[int, bool]:
    """Add up the bytes per row of columns of fixed width, and say whether these are all."""
    widths = [_fixed_nbytes(field.type) for field in schema]
    return sum(width or 0 for width in widths), None not in widths


def _fixed_nbytes(type_: pa.DataType) -> int | None:
    if pa.types.is_dictionary(type_):
        return None
    try:
        return max(8, int(type_.bit_width)) // 8
    except ValueError:
        return None
